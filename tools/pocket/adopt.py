"""Set up a work folder from a finished pipeline, so that training can go on where only the weights were kept.

Run: `python -m tools.pocket.adopt --from assets/pocket`, then `latents`, `train_unet`, `train_decoder` and
`export` as the README says. Optimisers begin afresh; nothing already in the work folder is replaced.
"""

from __future__ import annotations

import shutil
from pathlib import Path

import torch
from diffusers import AutoencoderKL, UNet2DConditionModel
from transformers import CLIPModel

from tools.pocket import checkpoint
from tools.pocket.optimiser import Pair
from tools.pocket.paths import work_dir
from tools.pocket.trainee import Trainee
from tools.pocket.training import stage_parser


def adopt(folder: Path, work: Path) -> list[str]:
    """Fill `work` from the pipeline at `folder`; returns the names of what was made."""
    made = []
    for source, target in (
        ("tokenizer", "tokenizer"),
        ("vae", "vae-frozen"),
        ("text_encoder", "clip-frozen/text_encoder"),
        ("clip", "clip-frozen/clip"),
    ):
        if not (work / target).exists():
            shutil.copytree(folder / source, work / target)
            made.append(target)
    checkpoints = work / "checkpoints"
    if not (checkpoints / "vae.pt").exists():
        vae = AutoencoderKL.from_pretrained(folder / "vae", torch_dtype=torch.float32)
        state = {"vae": vae.state_dict(), "optimiser": Pair(vae, 0.0, muon=True).state_dict(), "step": 0}
        checkpoint.save(checkpoints / "vae.pt", state)
        made.append("checkpoints/vae.pt")
    if not (checkpoints / "clip.pt").exists():
        clip = CLIPModel.from_pretrained(folder / "clip", dtype=torch.float32)
        state = {"clip": clip.state_dict(), "optimiser": Pair(clip, 0.0, muon=True).state_dict(), "step": 0}
        checkpoint.save(checkpoints / "clip.pt", state)
        made.append("checkpoints/clip.pt")
    if not (checkpoints / "unet.pt").exists():
        unet = UNet2DConditionModel.from_pretrained(folder / "unet", torch_dtype=torch.float32)
        trainee = Trainee(torch.device("cpu"), 0.0, muon=True, decay=0.998)
        trainee.begin_from(dict(unet.named_parameters()))
        checkpoint.save(checkpoints / "unet.pt", {**trainee.state(), "left": 0})
        made.append("checkpoints/unet.pt")
    return made


def main() -> None:
    """Adopt the pipeline and say what was made."""
    parser = stage_parser(__doc__)
    parser.add_argument("--from", dest="folder", type=Path, default=Path("assets/pocket"))
    options = parser.parse_args()
    print("\n".join(adopt(options.folder, work_dir(options.work))) or "everything was there already")


if __name__ == "__main__":
    main()
