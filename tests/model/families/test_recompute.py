"""What is kept of text encoders while a word is learned: little, where they are large or it is asked for."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch.autograd.graph import saved_tensors_hooks

from perfusion_core.model.base import Base
from perfusion_core.model.text import Frame, PromptEncoder
from tests.tiny_families import PIPELINES, tiny_family

PROMPTS = ["a photo of a <biscuit>", "my <biscuit> on the beach", "a <biscuit> and a <biscuit>", "a cat"]


def encoder_of(kind: str, large: bool | None = None) -> PromptEncoder:
    encoder = PromptEncoder(Base(kind, tiny_family(kind)))
    for one in encoder.encoders:
        one.facts = one.facts if large is None else replace(one.facts, large=large)
    return encoder


def learned(encoder: PromptEncoder, **options: Any) -> tuple[torch.Tensor, list[torch.Tensor], int]:
    """The encodings, the gradients that reach the word's embeddings, and the bytes kept meanwhile."""
    word = SimpleNamespace(
        superclass="dog",
        embeddings={
            part: (1.1 * found).requires_grad_()
            for part, found in encoder.superclass_embeddings("dog").items()
        },
    )
    weights = [weight for one in encoder.encoders for weight in one.module.parameters()]
    always = {weight.untyped_storage().data_ptr() for weight in weights}
    kept: dict[int, int] = {}

    def keep(tensor: torch.Tensor) -> torch.Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in always:
            kept[storage.data_ptr()] = storage.nbytes()
        return tensor

    framed = bool(encoder.encoders[0].facts.length_argument)  # without an instruction of a thousand letters
    options["frame"] = Frame(24) if framed else None
    with saved_tensors_hooks(keep, lambda tensor: tensor):
        given = encoder.encode(PROMPTS, {"biscuit": word}, superclass=False, **options).given
    pull = torch.randn(given.shape, generator=torch.Generator().manual_seed(0))
    gradients = torch.autograd.grad((given * pull).sum(), list(word.embeddings.values()))
    return given.detach(), list(gradients), sum(kept.values())


@pytest.mark.parametrize("kind", list(PIPELINES))
def test_running_encoders_again_gives_the_same_gradients_and_keeps_little(kind: str) -> None:
    states, gradients, kept = learned(encoder_of(kind, large=False))
    again, found, little = learned(encoder_of(kind, large=False), recompute=True)
    torch.testing.assert_close(again, states)
    for expected, gradient in zip(gradients, found, strict=True):
        assert float(expected.abs().max()) > 0
        torch.testing.assert_close(gradient, expected, rtol=1e-4, atol=1e-5)
    assert little < kept / 10


@pytest.mark.parametrize("kind", ["pixart-sigma", "sana", "cosmos"])
def test_large_encoders_are_always_run_again(kind: str) -> None:
    assert learned(encoder_of(kind))[2] < learned(encoder_of(kind, large=False))[2] / 10
