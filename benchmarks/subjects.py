"""What the benchmarks run on: the bundled base, or Stable Diffusion 1.5's architecture at random weights."""

from __future__ import annotations

import argparse
from typing import Any

import torch

from perfusion_core.model.base import Base, load_base

RANDOM_SD15 = "sd15-random"


def base_option(parser: argparse.ArgumentParser) -> None:
    """--base, --device, --dtype and --threads."""
    parser.add_argument("--base", default="pocket", help=f"as for the app, or {RANDOM_SD15}")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--dtype", default="auto", help="float32, bfloat16, float16")
    parser.add_argument("--threads", type=int, default=0, help="CPU threads; 0 leaves them as they are")


def base_from(options: argparse.Namespace) -> Base:
    """The base that the options name."""
    if options.threads:
        torch.set_num_threads(options.threads)
    if options.base != RANDOM_SD15:
        return load_base(options.base, device=options.device, dtype=options.dtype)
    device = "cuda" if options.device == "auto" and torch.cuda.is_available() else options.device
    device = "cpu" if device == "auto" else device
    automatic = torch.float16 if device == "cuda" else torch.float32  # as the app computes there
    dtype = automatic if options.dtype == "auto" else getattr(torch, options.dtype)
    return Base(RANDOM_SD15, random_sd15(), device=device, dtype=dtype)


def random_sd15() -> Any:
    """A StableDiffusionPipeline of the true architecture; its weights are random but fixed."""
    from diffusers import AutoencoderKL, DDIMScheduler, StableDiffusionPipeline, UNet2DConditionModel
    from transformers import CLIPTextConfig, CLIPTextModel

    from perfusion_core.model.single_file import CONFIGS, clip_tokenizer

    folder = CONFIGS / "sd1"
    torch.manual_seed(0)
    return StableDiffusionPipeline(
        vae=AutoencoderKL.from_config(AutoencoderKL.load_config(folder / "vae")),
        text_encoder=CLIPTextModel(CLIPTextConfig.from_pretrained(folder / "text_encoder")),
        tokenizer=clip_tokenizer(pad_token="<|endoftext|>"),
        unet=UNet2DConditionModel.from_config(UNet2DConditionModel.load_config(folder / "unet")),
        scheduler=DDIMScheduler.from_config(DDIMScheduler.load_config(folder / "scheduler")),
        safety_checker=None,
        feature_extractor=None,
        image_encoder=None,
        requires_safety_checker=False,
    )


def machine() -> str:
    """One line that belongs under every figure."""
    name = torch.cuda.get_device_name() if torch.cuda.is_available() else "CPU"
    return f"{name}, {torch.get_num_threads()} CPU threads, torch {torch.__version__}"
