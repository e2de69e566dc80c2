"""What the benchmarks run on: the bundled base, or a large architecture at random weights."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch

from perfusion_core.model.base import Base, load_base


def base_option(parser: argparse.ArgumentParser) -> None:
    """--base, --device, --dtype and --threads."""
    parser.add_argument("--base", default="pocket", help=f"as for the app, or {' or '.join(RANDOM)}")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--dtype", default="auto", help="float32, bfloat16, float16")
    parser.add_argument("--threads", type=int, default=0, help="CPU threads; 0 leaves them as they are")


def base_from(options: argparse.Namespace) -> Base:
    """The base that the options name."""
    if options.threads:
        torch.set_num_threads(options.threads)
    if options.base not in RANDOM:
        return load_base(options.base, device=options.device, dtype=options.dtype)
    device = "cuda" if options.device == "auto" and torch.cuda.is_available() else options.device
    device = "cpu" if device == "auto" else device
    on_card = device.startswith("cuda")
    automatic = torch.float16 if on_card else torch.float32  # as the app computes there
    dtype = automatic if options.dtype == "auto" else getattr(torch, options.dtype)
    return random_base(options.base, device, dtype)


def random_base(name: str, device: str = "cpu", dtype: torch.dtype = torch.float32) -> Base:
    """The base called `name` in `RANDOM`."""
    return Base(name, RANDOM[name](dtype), device=device, dtype=dtype)


def random_sd15(dtype: torch.dtype = torch.float32) -> Any:
    """A StableDiffusionPipeline of the true architecture; its weights are random but fixed.

    The denoiser is made in `dtype`, the rest in float32.
    """
    from diffusers import StableDiffusionPipeline
    from transformers import CLIPTextConfig, CLIPTextModel

    from perfusion_core.model.single_file import CONFIGS, clip_tokenizer

    folder = CONFIGS / "sd1"
    torch.manual_seed(0)
    return StableDiffusionPipeline(
        vae=_autoencoder(folder),
        text_encoder=CLIPTextModel(CLIPTextConfig.from_pretrained(folder / "text_encoder")),
        tokenizer=clip_tokenizer(pad_token="<|endoftext|>"),
        unet=_unet(folder, dtype),
        scheduler=_scheduler(folder),
        safety_checker=None,
        feature_extractor=None,
        image_encoder=None,
        requires_safety_checker=False,
    )


def random_sdxl(dtype: torch.dtype = torch.float32) -> Any:
    """The same for SDXL: its denoiser has 2.6 thousand million weights, 5 GB in half precision."""
    from diffusers import StableDiffusionXLPipeline
    from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection

    from perfusion_core.model.single_file import CONFIGS, clip_tokenizer

    folder = CONFIGS / "sdxl"
    torch.manual_seed(0)
    return StableDiffusionXLPipeline(
        vae=_autoencoder(folder),
        text_encoder=CLIPTextModel(CLIPTextConfig.from_pretrained(folder / "text_encoder")),
        text_encoder_2=CLIPTextModelWithProjection(CLIPTextConfig.from_pretrained(folder / "text_encoder_2")),
        tokenizer=clip_tokenizer(pad_token="<|endoftext|>"),
        tokenizer_2=clip_tokenizer(pad_token="!"),
        unet=_unet(folder, dtype),
        scheduler=_scheduler(folder),
        add_watermarker=False,
    )


RANDOM: dict[str, Callable[[torch.dtype], Any]] = {"sd15-random": random_sd15, "sdxl-random": random_sdxl}


def _autoencoder(folder: Path) -> Any:
    from diffusers import AutoencoderKL

    return AutoencoderKL.from_config(AutoencoderKL.load_config(folder / "vae"))


def _unet(folder: Path, dtype: torch.dtype) -> Any:
    from diffusers import UNet2DConditionModel

    with _weights_in(dtype):
        return UNet2DConditionModel.from_config(UNet2DConditionModel.load_config(folder / "unet"))


def _scheduler(folder: Path) -> Any:
    from diffusers import DDIMScheduler

    return DDIMScheduler.from_config(DDIMScheduler.load_config(folder / "scheduler"))


@contextmanager
def _weights_in(dtype: torch.dtype) -> Iterator[None]:
    """Modules that are made meanwhile have their weights in `dtype` from the start."""
    before = torch.get_default_dtype()
    torch.set_default_dtype(dtype)
    try:
        yield
    finally:
        torch.set_default_dtype(before)


def machine() -> str:
    """One line that belongs under every figure."""
    name = torch.cuda.get_device_name() if torch.cuda.is_available() else "CPU"
    return f"{name}, {torch.get_num_threads()} CPU threads, torch {torch.__version__}"
