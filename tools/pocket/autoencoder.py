"""The autoencoder's shape and its losses."""

from __future__ import annotations

import torch
from diffusers import AutoencoderKL
from torch import Tensor
from torch.nn import functional as F

LATENT_CHANNELS = 8


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


def reconstruction_loss(made: Tensor, true: Tensor, edges: float = 0.25) -> Tensor:
    """L1 of pixels, of their differences (weight `edges`) and of a low-passed copy, plus L2 for PSNR.

    Both are (n, 3, h, w) in [-1, 1]; returns a scalar.
    """
    error = made - true
    across = (error[..., 1:] - error[..., :-1]).abs().mean()
    down = (error[..., 1:, :] - error[..., :-1, :]).abs().mean()
    low = F.avg_pool2d(error, 4).abs().mean()
    return error.abs().mean() + edges * (across + down) + low + 2 * error.square().mean()


def decibels(made: Tensor, true: Tensor) -> float:
    """PSNR over the batch, mean of the pictures' own; inputs in [-1, 1]."""
    error = (made.clamp(-1, 1) - true).square().mean((1, 2, 3)) / 4
    return float((-10 * torch.log10(error.clamp(min=1e-8))).mean())
