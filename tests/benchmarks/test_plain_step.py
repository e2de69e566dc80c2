"""The plain step that teaching is timed against runs on a base of every family."""

from __future__ import annotations

import pytest
import torch

from benchmarks.teach import plain_step
from perfusion_core.model.base import Base
from perfusion_core.training.recipe import Recipe
from tests.tiny_families import PIPELINES, tiny_family
from tests.tiny_model import tiny_pipeline


def base_of(kind: str) -> Base:
    return Base(kind, tiny_pipeline() if kind == "sd" else tiny_family(kind))


@pytest.mark.parametrize("kind", ["sd", *PIPELINES])
def test_every_weight_gets_gradients_and_the_base_is_left_as_it_was(
    kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    base, learning = base_of(kind), 0
    backward = torch.Tensor.backward

    def watched(loss: torch.Tensor) -> None:
        nonlocal learning
        assert loss.isfinite()
        assert base.denoiser.is_gradient_checkpointing
        backward(loss)
        weights = list(base.denoiser.parameters())
        learning += sum(weight.grad is not None for weight in weights) > 0.9 * len(weights)

    monkeypatch.setattr(torch.Tensor, "backward", watched)
    recipe = Recipe.preset(base.description, batch_size=2, accumulation=3, gradient_checkpointing=True)
    assert plain_step(base, recipe).clock > 0
    assert learning == 3
    assert not base.denoiser.is_gradient_checkpointing
    assert all(weight.grad is None and not weight.requires_grad for weight in base.denoiser.parameters())
