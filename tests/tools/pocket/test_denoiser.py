"""The noise schedule and v-prediction agree with diffusers' own scheduler."""

from __future__ import annotations

import torch
from diffusers import DDPMScheduler

from tools.pocket.denoiser import SCHEDULE, min_snr_weight, noised, signal_shares


def test_noising_and_target_agree_with_the_stock_scheduler() -> None:
    torch.manual_seed(0)
    scheduler = DDPMScheduler(**SCHEDULE)
    clean, noise = torch.randn(3, 8, 4, 4), torch.randn(3, 8, 4, 4)
    times = torch.tensor([0, 500, 999])
    noisy, target = noised(clean, noise, signal_shares(torch.device("cpu"))[times])
    assert torch.allclose(noisy, scheduler.add_noise(clean, noise, times), atol=1e-5)
    assert torch.allclose(target, scheduler.get_velocity(clean, noise, times), atol=1e-5)


def test_weight_is_capped_where_there_is_little_noise() -> None:
    weights = min_snr_weight(torch.tensor([0.999, 0.5, 0.001]))
    assert weights[0] < 0.01
    assert abs(float(weights[1]) - 0.5) < 1e-6
    assert weights[2] < 0.002
