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


def detail(true: Tensor) -> Tensor:
    """Where there is something to see: 1 on even areas to 5 on fine detail; (n, 3, h, w) -> (n, 1, h, w)."""
    contrast = (true - F.avg_pool2d(true, 9, 1, 4, count_include_pad=False)).abs().mean(1, keepdim=True)
    return 1 + 4 * (F.avg_pool2d(contrast, 5, 1, 2) / 0.2).clamp(max=1)


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
