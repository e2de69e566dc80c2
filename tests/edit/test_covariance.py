from __future__ import annotations

import pytest
import torch

from perfusion_core.edit.covariance import SecondMoment, condition_number, inverse


def encodings(rows: int = 300, width: int = 8, seed: int = 0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(rows, width, generator=generator) + 2.0


def test_streaming_equals_the_whole_batch() -> None:
    rows = encodings()
    stream = SecondMoment(8)
    for part in rows.split(37):
        stream.update(part)
    exact = rows.double()
    assert torch.allclose(stream.covariance(), exact.T @ exact / 300, atol=1e-12)
    assert stream.count == 300


def test_it_is_uncentered() -> None:
    moment = SecondMoment(2)
    moment.update(torch.tensor([[3.0, 0.0], [3.0, 0.0]]))
    assert torch.equal(moment.covariance(), torch.tensor([[9.0, 0.0], [0.0, 0.0]], dtype=torch.float64))


def test_leading_dimensions_count_as_rows() -> None:
    rows = encodings(24)
    flat, shaped = SecondMoment(8), SecondMoment(8)
    flat.update(rows)
    shaped.update(rows.view(2, 12, 8))
    assert torch.equal(flat.covariance(), shaped.covariance())


def test_float64_keeps_what_float32_would_lose() -> None:
    large, small = torch.tensor([[4096.0, 0.0]]), torch.tensor([[0.0, 0.001]]) + torch.tensor([[0.5, 0.0]])
    moment = SecondMoment(2)
    moment.update(large)
    for _ in range(100):
        moment.update(small)
    assert moment.covariance().dtype == torch.float64
    assert moment.covariance()[0, 0] * 101 == 4096.0**2 + 100 * 0.25


def test_half_precision_encodings_are_gathered_exactly() -> None:
    rows = encodings().half()
    moment = SecondMoment(8)
    moment.update(rows)
    exact = rows.double()
    assert torch.allclose(moment.covariance(), exact.T @ exact / 300, atol=1e-12)


def test_gathering_keeps_no_gradient() -> None:
    moment = SecondMoment(8)
    moment.update(encodings().requires_grad_())
    assert not moment.covariance().requires_grad


def test_the_inverse_undoes_the_regularised_covariance() -> None:
    moment = SecondMoment(8)
    moment.update(encodings())
    covariance = moment.covariance()
    regularised = covariance + 0.01 * covariance.diagonal().mean() * torch.eye(8)
    result = inverse(covariance, ridge=0.01)
    assert result.dtype == torch.float32
    assert torch.allclose(result.double() @ regularised, torch.eye(8).double(), atol=1e-4)


@pytest.mark.parametrize("ridge", [1e-1, 1e-2, 1e-3])
def test_the_condition_number_is_bounded_even_for_a_covariance_of_rank_one(ridge: float) -> None:
    covariance = torch.ones(32, 32, dtype=torch.float64)
    condition = condition_number(covariance, ridge=ridge)
    assert 0.99 * 32 / ridge < condition <= 1 + 32 / ridge + 1e-6


def test_the_inverse_is_symmetric_and_positive_definite_even_with_fewer_captions_than_dimensions() -> None:
    moment = SecondMoment(64)
    moment.update(encodings(10, 64))
    result = inverse(moment.covariance(), ridge=0.01)
    assert torch.equal(result, result.T)
    assert torch.linalg.eigvalsh(result.double())[0] > 0


def test_the_ridge_follows_the_scale_of_the_encodings() -> None:
    moment, tenfold = SecondMoment(8), SecondMoment(8)
    moment.update(encodings())
    tenfold.update(10 * encodings())
    scaled = 100 * inverse(tenfold.covariance(), ridge=0.01)
    assert torch.allclose(scaled, inverse(moment.covariance(), ridge=0.01), rtol=1e-4)


def test_encodings_leave_their_device_before_they_become_float64() -> None:
    class OnAppleGpu(torch.Tensor):
        """Refuses what torch refuses there: float64, also as a part of a move to another device."""

        @classmethod
        def __torch_function__(cls, func, types, args=(), kwargs=None):
            asked = [*args, *(kwargs or {}).values()]
            if func is torch.Tensor.double or any(a is torch.float64 for a in asked):
                raise TypeError("Cannot convert a MPS Tensor to float64 dtype")
            found = super().__torch_function__(func, types, args, kwargs or {})
            return found.as_subclass(torch.Tensor) if func is torch.Tensor.cpu else found

    rows = encodings()
    moment, expected = SecondMoment(8), SecondMoment(8)
    moment.update(rows.as_subclass(OnAppleGpu))
    expected.update(rows)
    assert torch.equal(moment.covariance(), expected.covariance())
    assert torch.isfinite(inverse(torch.eye(8).as_subclass(OnAppleGpu), ridge=0.1)).all()
