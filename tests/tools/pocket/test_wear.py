"""Wearing and spoiling pictures."""

from __future__ import annotations

import numpy as np
import torch

from tools.pocket.wear import blurred, resampled, spoiled, warped, worn


def stripes() -> torch.Tensor:
    """Sharp black and white stripes (4, 3, 128, 128)."""
    line = (torch.arange(128) // 4 % 2).float()
    return line.view(1, 1, 1, 128).expand(4, 3, 128, 128).contiguous()


def sharpness(images: torch.Tensor) -> float:
    """Mean squared step between neighbours."""
    return float((images[..., 1:] - images[..., :-1]).square().mean())


def test_worn_pictures_stay_in_range_and_come_again_with_the_same_seed() -> None:
    first = worn(stripes(), np.random.default_rng(3))
    assert first.min() >= 0
    assert first.max() <= 1
    assert torch.equal(first, worn(stripes(), np.random.default_rng(3)))


def test_worn_leaves_its_input_alone() -> None:
    images = stripes()
    worn(images, np.random.default_rng(0), keep=0.0)
    assert torch.equal(images, stripes())


def test_blur_and_resampling_soften_but_keep_the_mean() -> None:
    for soft in (blurred(stripes(), 1.5), resampled(stripes(), 0.5)):
        assert sharpness(soft) < 0.8 * sharpness(stripes())
        assert abs(float(soft.mean()) - 0.5) < 0.02


def test_warp_by_nothing_changes_nothing() -> None:
    images = torch.rand(2, 3, 128, 128)
    assert torch.allclose(warped(images, np.random.default_rng(0), 0.0), images, atol=1e-4)


def test_spoiled_pictures_differ_much_more_than_worn_ones() -> None:
    images = torch.rand(8, 3, 8, 8).repeat_interleave(16, 2).repeat_interleave(16, 3)
    light = (worn(images, np.random.default_rng(1), keep=0.0) - images).abs().mean()
    heavy = (spoiled(images, np.random.default_rng(1)) - images).abs().mean()
    assert heavy > 2 * light
