"""Put the trained parts together as a Stable Diffusion pipeline folder.

Run: `python -m tools.pocket.export --to $POCKET_WORK/snapshot` at any time during training, and
`python -m tools.pocket.export --to assets/pocket --half --unet unet-cooled` for what ships. The folder is
built beside its place and moved in; `clip/` and `mask/` are taken from the work folder where they are.
"""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import torch
from diffusers import AutoencoderKL, StableDiffusionPipeline, UNet2DConditionModel
from safetensors.torch import save_file
from transformers import CLIPImageProcessor, CLIPTextModel

from tools.pocket import checkpoint
from tools.pocket.autoencoder import frozen
from tools.pocket.denoiser import scheduler, unet_of
from tools.pocket.text import load_tokenizer
from tools.pocket.training import Log, open_stage, stage_parser

SHARD = "15MB"
CODES = "codes.safetensors"  # the components of appearance codes, beside the weights that read them
BESIDE = ("clip", "mask")
KEPT = (*BESIDE, "model_card.md", "covariance.safetensors", "words.json")


def averaged_unet(work: Path, names: str) -> UNet2DConditionModel:
    """The UNet with its running-average weights, from one checkpoint, or the mean of several ("a+b").

    Runs that begin at the same place lie close enough together for their mean to be as good as the better.
    """
    unets = [unet_of(checkpoint.need(work, name, "train_unet")) for name in names.split("+")]
    weights = [unet.state_dict() for unet in unets]
    unets[0].load_state_dict({key: sum(one[key] for one in weights) / len(weights) for key in weights[0]})
    return unets[0]


def sharpened(work: Path) -> AutoencoderKL:
    """The frozen autoencoder, with the decoder that went on learning alone, if there is one.

    Raises:
        SystemExit: that decoder belongs to another encoder.
    """
    vae = frozen(work)
    if later := checkpoint.load(work / "checkpoints" / "decoder.pt"):
        kept = vae.encoder.state_dict()
        vae.load_state_dict(later["vae"])
        pairs = [(value, vae.encoder.state_dict()[name]) for name, value in kept.items()]
        if not all(torch.allclose(one, other, atol=1e-3, rtol=1e-2) for one, other in pairs):
            raise SystemExit("checkpoints/decoder.pt belongs to another encoder: run train_decoder anew.")
    return vae


def assemble(work: Path, unet: str, dtype: torch.dtype = torch.float32) -> StableDiffusionPipeline:
    """The pipeline on the CPU, from the frozen parts and the UNet checkpoint named `unet`."""
    pipeline = StableDiffusionPipeline(
        vae=sharpened(work),
        text_encoder=CLIPTextModel.from_pretrained(work / "text-frozen"),
        tokenizer=load_tokenizer(work),
        unet=averaged_unet(work, unet),
        scheduler=scheduler(),
        safety_checker=None,
        feature_extractor=processor(),
        requires_safety_checker=False,
    )
    return pipeline.to(dtype)


def processor() -> CLIPImageProcessor:
    """CLIP's image preparation at the pocket model's 128 pixels."""
    square = {"height": 128, "width": 128}
    return CLIPImageProcessor(size={"shortest_edge": 128}, crop_size=square)


def make_portable(config: Path) -> None:
    """Let half-precision weights load as fp32 by default; drop the paths of this machine from the config."""
    text = json.loads(config.read_text(encoding="utf-8"))
    text.pop("_name_or_path", None)
    for section in (text, text.get("text_config", {}), text.get("vision_config", {})):
        if "dtype" in section:
            section["dtype"] = "float32"
    config.write_text(json.dumps(text, indent=2) + "\n", encoding="utf-8")


def replace_folder(partial: Path, target: Path) -> None:
    """Move a finished folder into place, readable for all; the one before goes."""
    for file in partial.rglob("*"):
        file.chmod(0o755 if file.is_dir() else 0o644)  # safetensors writes files that others cannot read
    old = target.with_name(target.name + ".old")
    shutil.rmtree(old, ignore_errors=True)
    if target.exists():
        os.replace(target, old)
    os.replace(partial, target)
    shutil.rmtree(old, ignore_errors=True)


def main() -> None:
    """Write the pipeline folder, keeping what other stages put beside it."""
    parser = stage_parser(__doc__)
    parser.add_argument("--to", type=Path)
    parser.add_argument("--unet", default="unet", help="UNet checkpoint; a+b for the mean of two")
    parser.add_argument("--half", action="store_true", help="fp16 weights")
    options = parser.parse_args()
    work, _ = open_stage(options)
    target: Path = options.to or work / "snapshot"
    partial = target.with_name(target.name + ".partial")
    shutil.rmtree(partial, ignore_errors=True)
    dtype = torch.float16 if options.half else torch.float32
    assemble(work, options.unet, dtype).save_pretrained(
        partial, safe_serialization=True, max_shard_size=SHARD
    )
    if (coder := checkpoint.load(work / "codes.pt")) is not None:
        save_file({name: coder[name].half().contiguous() for name in ("mean", "basis")}, partial / CODES)
    for name in KEPT:
        fresh = work / name
        source = fresh if name in BESIDE and fresh.is_dir() else target / name
        if source.exists():
            copy = shutil.copytree if source.is_dir() else shutil.copy2
            copy(source, partial / name)
    for config in partial.glob("*/config.json"):
        make_portable(config)
    replace_folder(partial, target)
    size = sum(file.stat().st_size for file in target.rglob("*") if file.is_file())
    Log(work, "export")(f"{target}: {size / 2**20:.1f} MiB from {options.unet}")


if __name__ == "__main__":
    main()
