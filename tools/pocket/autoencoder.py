"""The autoencoder's shape, its losses, and images through it."""

from __future__ import annotations

from pathlib import Path

import torch
from diffusers import AutoencoderKL
from torch import Tensor
from torch.nn import functional as F

from tools.pocket.training import precision

LATENT_CHANNELS = 8
# Small parts stay in the processor's cache: 8.4 ms an image in eights, 24 ms in sixty-fours.
CPU_BATCH, GPU_BATCH = 8, 512


def build(
    widths: tuple[int, ...] = (32, 64, 96, 128), latent_channels: int = LATENT_CHANNELS
) -> AutoencoderKL:
    """A small AutoencoderKL: 128x128x3 -> 16x16x`latent_channels`, no attention."""
    return AutoencoderKL(
        in_channels=3,
        out_channels=3,
        down_block_types=("DownEncoderBlock2D",) * len(widths),
        up_block_types=("UpDecoderBlock2D",) * len(widths),
        block_out_channels=widths,
        layers_per_block=1,
        latent_channels=latent_channels,
        norm_num_groups=8,
        sample_size=128,
        mid_block_add_attention=False,
    )


def detail(true: Tensor) -> Tensor:
    """Where there is something to see: 1 on even areas to 5 on fine detail; (n, 3, h, w) -> (n, 1, h, w)."""
    contrast = (true - F.avg_pool2d(true, 9, 1, 4, count_include_pad=False)).abs().mean(1, keepdim=True)
    return 1 + 4 * (F.avg_pool2d(contrast, 5, 1, 2) / 0.2).clamp(max=1)


def pixel_weights(true: Tensor, covered: Tensor, things: float) -> Tensor:
    """How much each pixel counts: fine detail, and `things` more where a thing is or its outline.

    true: (n, 3, h, w) in [-1, 1]; covered: (n, 1, h, w) in [0, 1]. Returns (n, 1, h, w).
    """
    return detail(true) * (1 + things * F.max_pool2d(covered, 5, 1, 2))


def reconstruction_loss(
    made: Tensor, true: Tensor, edges: float = 0.25, weights: Tensor | None = None
) -> Tensor:
    """L1 of pixels, of their differences at two scales (times `edges`) and low-passed, plus L2 for PSNR.

    Both are (n, 3, h, w) in [-1, 1]; `weights` (n, 1, h, w) say how much each pixel counts (but low-passed
    all count alike). Returns a scalar.
    """
    error = made - true
    weights = torch.ones_like(true[:, :1]) if weights is None else weights / weights.mean()
    low = F.avg_pool2d(error, 4).abs().mean()
    sharp = _edge_error(error, weights) + _edge_error(F.avg_pool2d(error, 2), F.avg_pool2d(weights, 2)) / 2
    return ((error.abs() + 2 * error.square()) * weights).mean() + edges * sharp + low


def _edge_error(error: Tensor, weights: Tensor) -> Tensor:
    across = ((error[..., 1:] - error[..., :-1]).abs() * weights[..., 1:]).mean()
    down = ((error[..., 1:, :] - error[..., :-1, :]).abs() * weights[..., 1:, :]).mean()
    return across + down


def decibels(made: Tensor, true: Tensor) -> float:
    """PSNR over the batch, mean of the pictures' own; inputs in [-1, 1]."""
    error = (made.clamp(-1, 1) - true).square().mean((1, 2, 3)) / 4
    return float((-10 * torch.log10(error.clamp(min=1e-8))).mean())


@torch.no_grad()
def encode(vae: AutoencoderKL, images: Tensor) -> Tensor:
    """Scaled latents (n, 8, 16, 16) of images (n, 3, 128, 128) in [0, 1]."""
    part = CPU_BATCH if images.device.type == "cpu" else GPU_BATCH
    with precision(images.device):
        hidden = torch.cat([vae.encode(some * 2 - 1).latent_dist.mode() for some in images.split(part)])
    return hidden.float() * vae.config.scaling_factor


def frozen(work: Path, device: torch.device | str = "cpu") -> AutoencoderKL:
    """The autoencoder that every later stage stands on (see `shards --freeze`)."""
    vae = AutoencoderKL.from_pretrained(work / "vae-frozen").to(device).eval()
    return vae.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
