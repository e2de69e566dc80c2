"""The architectures at random weights are the true ones, in full size."""

from __future__ import annotations

from argparse import Namespace
from typing import Any

import pytest
import torch

import benchmarks.subjects as subjects
from perfusion_core.model.describe import describe
from tests.tiny_families import tiny_family


@pytest.mark.parametrize(
    ("name", "family", "attentions", "width", "size", "weights"),
    [
        ("sd15-random", "stable-diffusion", 16, 768, 512, 859_520_964),
        ("sdxl-random", "sdxl", 70, 2048, 1024, 2_567_463_684),
    ],
)
def test_the_architecture_is_the_published_one(
    name: str, family: str, attentions: int, width: int, size: int, weights: int
) -> None:
    with torch.device("meta"):  # shapes without memory
        pipe = subjects.RANDOM[name](torch.bfloat16)
    found = describe(pipe)
    assert (found.kind, len(found.attention_paths)) == (family, attentions)
    assert (found.text_width, found.image_size) == (width, size)
    assert sum(weight.numel() for weight in pipe.unet.parameters()) == weights
    assert {weight.dtype for weight in pipe.unet.parameters()} == {torch.bfloat16}
    assert {weight.dtype for weight in pipe.text_encoder.parameters()} == {torch.float32}
    assert torch.get_default_dtype() == torch.float32


@pytest.mark.parametrize(("asked", "expected"), [("auto", torch.float32), ("bfloat16", torch.bfloat16)])
def test_a_random_base_has_the_precision_that_was_asked_for(
    asked: str, expected: torch.dtype, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[torch.dtype] = []

    def tiny(dtype: torch.dtype) -> Any:
        made.append(dtype)
        return tiny_family("sdxl")

    monkeypatch.setitem(subjects.RANDOM, "sdxl-random", tiny)
    options = Namespace(base="sdxl-random", device="cpu", dtype=asked, threads=0)
    base = subjects.base_from(options)
    assert made == [expected]
    assert (base.id, base.dtype, base.denoiser.dtype) == ("sdxl-random", expected, expected)
