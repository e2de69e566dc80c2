"""The UNet's shapes; the noise schedule and v-prediction agree with diffusers' own scheduler."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from diffusers import DDPMScheduler

from tools.pocket.denoiser import (
    SCHEDULE,
    SHAPES,
    SplitAttention,
    build_unet,
    draw_steps,
    noised,
    shape_of,
    signal_shares,
    step_weight,
)


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
    drawn = draw_steps(20_000, np.random.default_rng(0))
    often = torch.bincount(drawn, minlength=1000).float()
    expected = step_weight(shares) / step_weight(shares).sum() * 20_000
    assert drawn.min() >= 0
    assert drawn.max() <= 999
    assert torch.allclose(often.view(10, 100).sum(1), expected.view(10, 100).sum(1), atol=2)


@pytest.mark.parametrize("fused", [False, True])
def test_split_attention_with_equal_halves_is_the_stock_attention(fused: bool) -> None:
    torch.manual_seed(0)
    unet = build_unet(block_out_channels=(16, 16, 32)).eval()
    latents, states = torch.randn(2, 8, 16, 16), torch.randn(2, 5, 256)
    with torch.no_grad():
        stock = unet(latents, 7, states).sample
        unet.set_attn_processor(SplitAttention(fused))
        split = unet(latents, 7, torch.cat([states, states], 1)).sample
        other = unet(latents, 7, torch.cat([states, states + 1], 1)).sample
    torch.testing.assert_close(split, stock, rtol=1e-4, atol=1e-5)
    assert (other - stock).abs().max() > 1e-3


@pytest.mark.parametrize(("shape", "count"), [("64-128-192", 16), ("96-160-160", 11)])
def test_the_unet_has_many_attentions_that_read_the_text(shape: str, count: int) -> None:
    from perfusion_core.model.describe import cross_attentions

    unet = build_unet(shape)
    assert len(cross_attentions(unet)) == count
    assert shape_of(unet.state_dict()) == shape
    assert set(SHAPES) == {"64-128-192", "96-160-160"}


def test_weights_of_another_shape_are_named_as_such() -> None:
    with pytest.raises(ValueError, match="no known UNet shape"):
        shape_of({"conv_in.weight": torch.zeros(4, 4)})
