"""The noise schedule and v-prediction agree with diffusers' own scheduler."""

from __future__ import annotations

import numpy as np
import torch
from diffusers import DDPMScheduler

from tools.pocket.denoiser import SCHEDULE, draw_steps, noised, signal_shares, step_weight


def test_noising_and_target_agree_with_the_stock_scheduler() -> None:
    torch.manual_seed(0)
    scheduler = DDPMScheduler(**SCHEDULE)
    clean, noise = torch.randn(3, 8, 4, 4), torch.randn(3, 8, 4, 4)
    times = torch.tensor([0, 500, 999])
    noisy, target = noised(clean, noise, signal_shares(torch.device("cpu"))[times])
    assert torch.allclose(noisy, scheduler.add_noise(clean, noise, times), atol=1e-5)
    assert torch.allclose(target, scheduler.get_velocity(clean, noise, times), atol=1e-5)


def test_weight_falls_only_where_there_is_little_noise() -> None:
    weights = step_weight(torch.tensor([0.999, 0.9, 0.5, 0.001]), cap=2.0)
    assert torch.allclose(weights, torch.tensor([0.002, 0.2, 1.0, 1.0]), atol=1e-4)


def test_noise_levels_are_drawn_as_often_as_they_weigh() -> None:
    shares = signal_shares(torch.device("cpu"))
    drawn = draw_steps(shares, 20_000, np.random.default_rng(0))
    often = torch.bincount(drawn, minlength=1000).float()
    expected = step_weight(shares) / step_weight(shares).sum() * 20_000
    assert drawn.min() >= 0
    assert drawn.max() <= 999
    assert torch.allclose(often.view(10, 100).sum(1), expected.view(10, 100).sum(1), atol=2)
