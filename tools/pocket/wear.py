"""Wear pictures as an autoencoder or a generator would, and spoil some beyond recognition."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F


def blurred(images: Tensor, sigma: float) -> Tensor:
    """Gaussian blur of (n, 3, h, w) by `sigma` pixels."""
    reach = max(1, int(2.5 * sigma + 0.5))
    line = torch.arange(-reach, reach + 1, device=images.device, dtype=images.dtype)
    kernel = torch.exp(-line.square() / (2 * sigma * sigma))
    kernel = (kernel / kernel.sum()).view(1, 1, 1, -1).expand(3, 1, 1, -1)
    padded = F.pad(images, (reach, reach, reach, reach), mode="replicate")
    return F.conv2d(F.conv2d(padded, kernel, groups=3), kernel.transpose(2, 3), groups=3)


def resampled(images: Tensor, factor: float) -> Tensor:
    """Made smaller by `factor` and larger again."""
    size = max(8, round(images.shape[-1] * factor))
    small = F.interpolate(images, size=size, mode="bilinear", antialias=True, align_corners=False)
    return F.interpolate(small, size=images.shape[-1], mode="bicubic", align_corners=False)


def warped(images: Tensor, rng: np.random.Generator, reach: float) -> Tensor:
    """Bend pictures by a smooth random field of about `reach` pixels."""
    n, size = len(images), images.shape[-1]
    coarse = torch.from_numpy(rng.normal(size=(n, 2, 6, 6)).astype(np.float32)).to(images.device)
    field = F.interpolate(coarse, size=size, mode="bicubic", align_corners=False) * (2 * reach / size)
    still = F.affine_grid(
        torch.eye(2, 3, device=images.device).expand(n, 2, 3), [n, 3, size, size], align_corners=False
    )
    return F.grid_sample(
        images, still + field.permute(0, 2, 3, 1), padding_mode="border", align_corners=False
    )


def worn(images: Tensor, rng: np.random.Generator, keep: float = 0.3) -> Tensor:
    """Each picture lightly worn in one or two ways (or, with chance `keep`, left), still recognisable."""
    out = images.clone()
    for i in range(len(out)):
        if rng.random() < keep:
            continue
        one = out[i : i + 1]
        way = rng.integers(3)
        if way == 0:
            one = blurred(one, float(rng.uniform(0.4, 1.3)))
        elif way == 1:
            one = resampled(one, float(rng.uniform(0.5, 0.9)))
        else:
            one = warped(one, rng, float(rng.uniform(0.3, 1.2)))
        if rng.random() < 0.4:
            noise = torch.from_numpy(rng.normal(size=tuple(one.shape)).astype(np.float32)).to(one.device)
            smooth = F.avg_pool2d(noise, 3, 1, 1) * 2 if rng.random() < 0.5 else noise
            one = one + float(rng.uniform(0.005, 0.04)) * smooth
        out[i] = one[0] * float(rng.uniform(0.93, 1.07)) + float(rng.uniform(-0.04, 0.04))
    return out.clamp(0, 1)


def spoiled(images: Tensor, rng: np.random.Generator) -> Tensor:
    """Pictures in which nothing can be recognised: strongly bent and blurred, or two laid over each other."""
    bent = blurred(warped(images, rng, float(rng.uniform(10, 16))), float(rng.uniform(2.5, 5)))
    mixed = 0.5 * images + 0.5 * images.roll(1, 0)
    pick = torch.from_numpy(rng.random(len(images)) < 0.7).to(images.device)
    return torch.where(pick.view(-1, 1, 1, 1), bent, mixed)
