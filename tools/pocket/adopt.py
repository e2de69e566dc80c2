"""Set up a work folder from a shipped pipeline, so that training can go on where only the weights were kept.

Run: `python -m tools.pocket.sprites`, then `python -m tools.pocket.adopt --from assets/pocket`, then stages 6
and later of the README. Optimisers begin afresh; nothing already in the work folder is replaced. The text
encoder's own training (stage 5) cannot go on, since its heads are not shipped: it can only begin anew.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from diffusers import AutoencoderKL, UNet2DConditionModel
from safetensors.torch import load_file
from transformers import CLIPModel, CLIPSegForImageSegmentation, CLIPTextModel

from tools.pocket import checkpoint
from tools.pocket.export import CODES
from tools.pocket.training import open_stage, stage_parser


def adopt(folder: Path, work: Path) -> list[str]:
    """Fill `work` from the pipeline at `folder`; returns the names of what was made.

    Raises:
        SystemExit: the folder has no appearance codes, so it is a base of the first edition.
    """
    if not (folder / CODES).is_file():
        raise SystemExit(
            f"{folder} has no {CODES}: only bases exported by these tools can be adopted. Nothing was made."
        )
    made: list[str] = []

    def once(target: Path, write: Callable[[], None]) -> None:
        if not target.exists():
            write()
            made.append(str(target.relative_to(work)))

    def whole(model: Any, part: str) -> Any:
        return model.from_pretrained(folder / part, torch_dtype=torch.float32)

    def saved(name: str, state: Callable[[], dict[str, Any]]) -> None:
        target = work / "checkpoints" / f"{name}.pt"
        once(target, lambda: checkpoint.save(target, {**state(), "step": 0}))

    once(work / "tokenizer", lambda: shutil.copytree(folder / "tokenizer", work / "tokenizer"))
    once(work / "codes.pt", lambda: checkpoint.save(work / "codes.pt", _codes(folder)))
    for part, target, model in (
        ("vae", "vae-frozen", AutoencoderKL),
        ("text_encoder", "text-frozen", CLIPTextModel),
    ):
        once(work / target, lambda m=model, p=part, t=target: whole(m, p).save_pretrained(work / t))
    saved("vae", lambda: {"vae": whole(AutoencoderKL, "vae").state_dict()})
    saved("unet", lambda: _unet(whole(UNet2DConditionModel, "unet").state_dict()))
    if (folder / "clip").is_dir():
        saved("clip", lambda: {"clip": whole(CLIPModel, "clip").state_dict()})
    if (folder / "mask").is_dir():
        saved("mask", lambda: {"mask": whole(CLIPSegForImageSegmentation, "mask").state_dict()})
    return made


def _codes(folder: Path) -> dict[str, torch.Tensor]:
    return {name: value.float() for name, value in load_file(folder / CODES).items()}


def _unet(weights: dict[str, torch.Tensor]) -> dict[str, Any]:
    return {"master": weights, "average": weights, "left": 0}


def main() -> None:
    """Adopt the pipeline and say what was made."""
    parser = stage_parser(__doc__)
    parser.add_argument("--from", dest="folder", type=Path, default=Path("assets/pocket"))
    options = parser.parse_args()
    work, _ = open_stage(options)
    print("\n".join(adopt(options.folder, work)) or "everything was there already")


if __name__ == "__main__":
    main()
