"""Picture styles applied to finished photos: pixel art, black and white, pencil sketch."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F


def grey(images: Tensor) -> Tensor:
    """Black and white photo with a little more contrast; (n, 3, h, w) in and out."""
    light = _light(images)
    return ((light - 0.5) * 1.15 + 0.5).clamp(0, 1).expand(-1, 3, -1, -1)


def pixel(images: Tensor) -> Tensor:
    """Pixel art: blocks of 4x4 pixels in few tones a channel."""
    small = F.avg_pool2d(images, 4)
    toned = (small * 6).round() / 6
    return F.interpolate(toned, scale_factor=4, mode="nearest")


def sketch(images: Tensor) -> Tensor:
    """Pencil on warm paper: dark lines along edges, faint shading."""
    light = F.avg_pool2d(F.pad(_light(images), (1, 1, 1, 1), mode="replicate"), 3, 1)
    padded = F.pad(light, (1, 1, 1, 1), mode="replicate")
    dx = padded[..., 1:-1, 2:] - padded[..., 1:-1, :-2]
    dy = padded[..., 2:, 1:-1] - padded[..., :-2, 1:-1]
    line = (dx.square() + dy.square() + 1e-6).sqrt()
    ink = (1.7 * (line - 0.02)).clamp(0, 0.8) + 0.22 * (1 - light)
    paper = torch.tensor([0.97, 0.955, 0.92], device=images.device).view(1, 3, 1, 1)
    return (paper * (1 - ink)).clamp(0, 1)


STYLE_FUNCTIONS = {"grey": grey, "pixel": pixel, "sketch": sketch}


def apply_style(images: Tensor, styles: list[str]) -> Tensor:
    """Apply each picture's style ("photo" leaves it); (n, 3, h, w) in [0, 1]."""
    for name, function in STYLE_FUNCTIONS.items():
        rows = [i for i, style in enumerate(styles) if style == name]
        if rows:
            images[rows] = function(images[rows])
    return images


def _light(images: Tensor) -> Tensor:
    weights = torch.tensor([0.30, 0.59, 0.11], device=images.device).view(1, 3, 1, 1)
    return (images * weights).sum(1, keepdim=True)
