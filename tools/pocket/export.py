"""Put the trained parts together as a Stable Diffusion pipeline folder.

Run: `python -m tools.pocket.export --to $POCKET_WORK/snapshot` at any time during training, and
`python -m tools.pocket.export --to assets/pocket --half --unet unet-cooled` for what ships. The folder is
built beside its place and moved in, so a reader never meets half of one. `clip/` inside holds the whole CLIP
model.
"""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import torch
from diffusers import AutoencoderKL, DDIMScheduler, StableDiffusionPipeline, UNet2DConditionModel
from transformers import CLIPImageProcessor, CLIPModel, CLIPTextModel

from tools.pocket import checkpoint
from tools.pocket.denoiser import SCHEDULE, build_unet
from tools.pocket.latents import frozen
from tools.pocket.paths import work_dir
from tools.pocket.training import Log, stage_parser
from tools.pocket.words import build_clip, load_tokenizer

SHARD = "15MB"
KEPT = ("mask", "model_card.md", "covariance.safetensors")


def freeze_clip(work: Path) -> None:
    """Copy the CLIP checkpoint to $WORK/clip-frozen: the whole model, and its text tower by itself."""
    saved = checkpoint.load(work / "checkpoints" / "clip.pt")
    assert saved is not None, "no checkpoint clip: run train_clip first"
    tokenizer = load_tokenizer(work)
    clip = build_clip(tokenizer).eval()
    clip.load_state_dict(saved["clip"])
    partial, folder = work / "clip-frozen.partial", work / "clip-frozen"
    clip.save_pretrained(partial / "clip")
    tokenizer.save_pretrained(partial / "clip")
    processor().save_pretrained(partial / "clip")
    text = CLIPTextModel(clip.config.text_config)
    text.load_state_dict(clip.text_model.state_dict() if _plain(text) else _nested(clip))
    text.save_pretrained(partial / "text_encoder")
    os.replace(partial, folder)
    Log(work, "clip")(f"frozen at step {saved['step']}")


def _plain(text: CLIPTextModel) -> bool:
    return not any(name.startswith("text_model.") for name in text.state_dict())


def _nested(clip: CLIPModel) -> dict[str, torch.Tensor]:
    return {f"text_model.{name}": value for name, value in clip.text_model.state_dict().items()}


def processor() -> CLIPImageProcessor:
    """CLIP's picture preparation at the pocket model's 128 pixels."""
    square = {"height": 128, "width": 128}
    return CLIPImageProcessor(size={"shortest_edge": 128}, crop_size=square)


def sharpened(work: Path, device: torch.device) -> AutoencoderKL:
    """The frozen autoencoder, with the decoder that went on learning alone, if there is one."""
    vae = frozen(work, device)
    later = checkpoint.load(work / "checkpoints" / "decoder.pt")
    if later:
        kept = vae.encoder.state_dict()
        vae.load_state_dict(later["vae"])
        assert all(torch.equal(kept[name], value) for name, value in vae.encoder.state_dict().items()), (
            "decoder.pt belongs to another encoder"
        )
    return vae


def averaged_unet(work: Path, names: str) -> UNet2DConditionModel:
    """The UNet with its running-average weights, from the checkpoint named, or the mean of several ("a+b").

    Runs that begin at the same place lie close enough together for their mean to be as good as the better.
    """
    weights: list[dict[str, torch.Tensor]] = []
    for name in names.split("+"):
        saved = checkpoint.load(work / "checkpoints" / f"{name}.pt")
        assert saved is not None, f"no checkpoint {name}: run train_unet first"
        weights.append({**saved["master"], **saved["average"]})
    unet = build_unet().eval()
    unet.load_state_dict({key: sum(one[key] for one in weights) / len(weights) for key in weights[0]})
    return unet


def assemble(work: Path, unet: str, dtype: torch.dtype = torch.float32) -> StableDiffusionPipeline:
    """The pipeline on the CPU, from the frozen parts and the UNet checkpoint named `unet`."""
    pipeline = StableDiffusionPipeline(
        vae=sharpened(work, torch.device("cpu")),
        text_encoder=CLIPTextModel.from_pretrained(work / "clip-frozen" / "text_encoder"),
        tokenizer=load_tokenizer(work),
        unet=averaged_unet(work, unet),
        scheduler=DDIMScheduler(
            **SCHEDULE, clip_sample=False, set_alpha_to_one=False, steps_offset=1, timestep_spacing="trailing"
        ),
        safety_checker=None,
        feature_extractor=processor(),
        requires_safety_checker=False,
    )
    return pipeline.to(dtype)


def make_portable(config: Path) -> None:
    """Let half-precision weights load as fp32 by default; drop the paths of this machine from the config."""
    text = json.loads(config.read_text(encoding="utf-8"))
    text.pop("_name_or_path", None)
    for section in (text, text.get("text_config", {}), text.get("vision_config", {})):
        if "dtype" in section:
            section["dtype"] = "float32"
    config.write_text(json.dumps(text, indent=2) + "\n", encoding="utf-8")


def main() -> None:
    """Write the pipeline folder, keeping what other stages put beside it."""
    parser = stage_parser(__doc__)
    parser.add_argument("--to", type=Path)
    parser.add_argument("--unet", default="unet", help="UNet checkpoint; a+b for the mean of two")
    parser.add_argument("--half", action="store_true", help="fp16 weights")
    parser.add_argument(
        "--freeze-clip", action="store_true", help="only freeze CLIP, for the UNet to train on"
    )
    options = parser.parse_args()
    work = work_dir(options.work)
    if options.freeze_clip:
        freeze_clip(work)
        return
    dtype = torch.float16 if options.half else torch.float32
    target: Path = options.to or work / "snapshot"
    partial, old = target.with_name(target.name + ".partial"), target.with_name(target.name + ".old")
    for stale in (partial, old):
        shutil.rmtree(stale, ignore_errors=True)
    assemble(work, options.unet, dtype).save_pretrained(
        partial, safe_serialization=True, max_shard_size=SHARD
    )
    clip = CLIPModel.from_pretrained(work / "clip-frozen" / "clip").to(dtype)
    clip.save_pretrained(partial / "clip")
    load_tokenizer(work).save_pretrained(partial / "clip")
    processor().save_pretrained(partial / "clip")
    for config in partial.glob("*/config.json"):
        make_portable(config)
    for name in KEPT:
        if (target / name).exists():
            copy = shutil.copytree if (target / name).is_dir() else shutil.copy2
            copy(target / name, partial / name)
    if (work / "mask").is_dir():
        shutil.copytree(work / "mask", partial / "mask", dirs_exist_ok=True)
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
