"""The denoising loss, weighted by where the subject is."""

from __future__ import annotations

import torch
from torch import Tensor


def masked_denoising_loss(
    prediction: Tensor,
    target: Tensor,
    mask: Tensor,
    weights: Tensor | None = None,
    background: float = 0.0,
) -> Tensor:
    """Mean squared error, each pixel weighted by the subject's soft mask over that mask's own maximum.

    The maximum is taken per image, over all its pixels: a faint mask then counts as much as a strong one. An
    image whose mask is empty counts whole. ``weights`` scale whole images (for instance by signal-to-noise).
    ``background``: what a pixel outside the mask counts against one inside, 0 (the paper) to 1 (no mask).

    Shape: prediction, target (B, C, h, w); mask (B, 1, h, w), not negative; weights (B,) -> () in float32.
    """
    error = (prediction.float() - target.float()).square().mean(dim=1, keepdim=True)  # (B, 1, h, w)
    weight = background + (1 - background) * _normalised(mask.float())
    per_image = (error * weight).mean(dim=(1, 2, 3))
    return (per_image if weights is None else per_image * weights).mean()


def _normalised(mask: Tensor) -> Tensor:
    peak = mask.amax(dim=(1, 2, 3), keepdim=True)
    return torch.where(peak > 0, mask / peak.clamp(min=torch.finfo(mask.dtype).tiny), torch.ones_like(mask))
