"""Put the trained parts together as a Stable Diffusion pipeline folder.

Run: `python -m tools.pocket2.export --to $POCKET_WORK/snapshot2` at any time during training. The folder
is built beside its place and moved in.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import torch
from diffusers import DDIMScheduler, StableDiffusionPipeline, UNet2DConditionModel
from transformers import CLIPTextModel

from tools.pocket import checkpoint
from tools.pocket.denoiser import SCHEDULE
from tools.pocket.export import make_portable, processor
from tools.pocket.paths import work_dir
from tools.pocket.training import Log, stage_parser
from tools.pocket2.denoiser import build_unet
from tools.pocket2.shards import frozen
from tools.pocket2.text import load_tokenizer

SHARD = "15MB"
KEPT = ("mask", "clip", "model_card.md", "covariance.safetensors", "words.json")


def averaged_unet(work: Path, names: str) -> UNet2DConditionModel:
    """The UNet with its running-average weights, from one checkpoint, or the mean of several ("a+b")."""
    weights: list[dict[str, torch.Tensor]] = []
    for name in names.split("+"):
        saved = checkpoint.load(work / "checkpoints" / f"{name}.pt")
        assert saved is not None, f"no checkpoint {name}: run train_unet first"
        weights.append({**saved["master"], **saved["average"]})
    unet = build_unet().eval()
    unet.load_state_dict({key: sum(one[key] for one in weights) / len(weights) for key in weights[0]})
    return unet


def scheduler() -> DDIMScheduler:
    """Stable Diffusion's schedule with v-prediction, for sampling."""
    return DDIMScheduler(
        **SCHEDULE, clip_sample=False, set_alpha_to_one=False, steps_offset=1, timestep_spacing="trailing"
    )


def assemble(work: Path, unet: str, dtype: torch.dtype = torch.float32) -> StableDiffusionPipeline:
    """The pipeline on the CPU, from the frozen parts and the UNet checkpoint named `unet`."""
    vae = frozen(work)
    if later := checkpoint.load(work / "checkpoints" / "decoder2.pt"):
        vae.load_state_dict(later["vae"])
    pipeline = StableDiffusionPipeline(
        vae=vae,
        text_encoder=CLIPTextModel.from_pretrained(work / "text-frozen"),
        tokenizer=load_tokenizer(work),
        unet=averaged_unet(work, unet),
        scheduler=scheduler(),
        safety_checker=None,
        feature_extractor=processor(),
        requires_safety_checker=False,
    )
    return pipeline.to(dtype)


def main() -> None:
    """Write the pipeline folder, keeping what other stages put beside it."""
    parser = stage_parser(__doc__)
    parser.add_argument("--to", type=Path)
    parser.add_argument("--unet", default="unet2", help="UNet checkpoint; a+b for the mean of two")
    parser.add_argument("--half", action="store_true", help="fp16 weights")
    options = parser.parse_args()
    work = work_dir(options.work)
    target: Path = options.to or work / "snapshot2"
    partial, old = target.with_name(target.name + ".partial"), target.with_name(target.name + ".old")
    for stale in (partial, old):
        shutil.rmtree(stale, ignore_errors=True)
    dtype = torch.float16 if options.half else torch.float32
    assemble(work, options.unet, dtype).save_pretrained(
        partial, safe_serialization=True, max_shard_size=SHARD
    )
    for config in partial.glob("*/config.json"):
        make_portable(config)
    for name in KEPT:
        if (target / name).exists():
            copy = shutil.copytree if (target / name).is_dir() else shutil.copy2
            copy(target / name, partial / name)
    for file in partial.rglob("*"):
        file.chmod(0o755 if file.is_dir() else 0o644)  # safetensors writes files that others cannot read
    if target.exists():
        os.replace(target, old)
    os.replace(partial, target)
    shutil.rmtree(old, ignore_errors=True)
    size = sum(file.stat().st_size for file in target.rglob("*") if file.is_file())
    Log(work, "export")(f"{target}: {size / 2**20:.1f} MiB from {options.unet}")


if __name__ == "__main__":
    main()
