from __future__ import annotations

import pytest
import torch

from perfusion_core.edit.loss import masked_denoising_loss


def pair(batch: int = 2) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(3)
    return torch.randn(batch, 4, 6, 6, generator=generator), torch.randn(batch, 4, 6, 6, generator=generator)


def test_a_full_mask_gives_the_plain_squared_error() -> None:
    prediction, target = pair()
    loss = masked_denoising_loss(prediction, target, torch.ones(2, 1, 6, 6))
    assert torch.allclose(loss, torch.nn.functional.mse_loss(prediction, target))


def test_the_mask_is_divided_by_its_own_maximum_per_image_not_per_row_or_batch() -> None:
    prediction, target = pair()
    mask = torch.zeros(2, 1, 6, 6)
    mask[0, 0, 1, 1], mask[0, 0, 2, 2], mask[1, 0, 3, 3] = 0.2, 0.1, 0.01
    error = (prediction - target).square().mean(1)
    expected = (error[0, 1, 1] + 0.5 * error[0, 2, 2] + error[1, 3, 3]) / (2 * 36)
    assert torch.allclose(masked_denoising_loss(prediction, target, mask), expected)


@pytest.mark.parametrize("strength", [1e-6, 0.3, 255.0])
def test_how_strong_a_mask_is_as_a_whole_does_not_matter(strength: float) -> None:
    prediction, target = pair()
    mask = torch.rand(2, 1, 6, 6, generator=torch.Generator().manual_seed(0))
    expected = masked_denoising_loss(prediction, target, mask)
    assert torch.allclose(masked_denoising_loss(prediction, target, strength * mask), expected)


def test_what_is_outside_the_mask_has_no_gradient() -> None:
    prediction, target = pair()
    prediction.requires_grad_()
    mask = torch.zeros(2, 1, 6, 6)
    mask[:, :, :3] = 1
    masked_denoising_loss(prediction, target, mask).backward()
    assert prediction.grad is not None
    assert prediction.grad[:, :, :3].abs().min() > 0
    assert not prediction.grad[:, :, 3:].any()


def test_the_background_counts_its_share() -> None:
    prediction, target = pair()
    mask = torch.zeros(2, 1, 6, 6)
    mask[:, :, :3] = 0.4
    error = (prediction - target).square().mean(1)
    expected = (error[:, :3].sum() + 0.3 * error[:, 3:].sum()) / error.numel()
    assert torch.allclose(masked_denoising_loss(prediction, target, mask, background=0.3), expected)
    whole = masked_denoising_loss(prediction, target, mask, background=1.0)
    assert torch.allclose(whole, torch.nn.functional.mse_loss(prediction, target))


def test_an_empty_mask_counts_its_image_whole() -> None:
    prediction, target = pair(1)
    loss = masked_denoising_loss(prediction, target, torch.zeros(1, 1, 6, 6))
    assert torch.allclose(loss, torch.nn.functional.mse_loss(prediction, target))


def test_weights_scale_whole_images() -> None:
    prediction, target = pair()
    mask = torch.ones(2, 1, 6, 6)
    only_first = masked_denoising_loss(prediction, target, mask, torch.tensor([2.0, 0.0]))
    assert torch.allclose(only_first, masked_denoising_loss(prediction[:1], target[:1], mask[:1]))


def test_half_precision_predictions_are_compared_in_float32() -> None:
    prediction = torch.full((1, 4, 2, 2), 300.0, dtype=torch.float16)
    loss = masked_denoising_loss(prediction, -prediction, torch.ones(1, 1, 2, 2))
    assert loss == 360_000.0  # past the largest half
