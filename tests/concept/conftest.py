from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch

from perfusion_core.concept import Concept, ConceptMetadata, concept_bytes


def metadata(**changes: Any) -> ConceptMetadata:
    facts: dict[str, Any] = {
        "name": "biscuit",
        "superclass": "dog",
        "base": "pocket",
        "base_fingerprint": "0f" * 32,
        "covariance_fingerprint": "a1" * 32,
        "prediction_type": "epsilon",
        "recipe": {"steps": 90, "value_rate": 0.01, "flip": True, "mask": "auto"},
        "scores": {"image": 0.61, "text": 0.28},
        "bias": {"local": 0.68, "global": 0.5},
        "temperature": 0.15,
        "removal": "gated",
        "token_similarity": 1.02,
        "created_at": "2026-01-02T03:04:05+00:00",
        "created_by": "Perfusion Studio 0.1.0",
    }
    return ConceptMetadata(**{**facts, **changes})


def concept(
    widths: dict[str, int], text_width: int, trained_keys: bool = False, seed: int = 0, **changes: Any
) -> Concept:
    generator = torch.Generator().manual_seed(seed)

    def vector(width: int) -> torch.Tensor:
        return torch.randn(width, generator=generator)

    return Concept(
        metadata=metadata(**changes),
        target_input=vector(text_width),
        embedding=vector(text_width),
        superclass_encoding=None if trained_keys else vector(text_width),
        values={path: vector(width) for path, width in widths.items()},
        keys={path: vector(width) for path, width in widths.items()} if trained_keys else None,
    )


@pytest.fixture
def make_metadata() -> Callable[..., ConceptMetadata]:
    return metadata


@pytest.fixture
def make_concept() -> Callable[..., Concept]:
    """A small concept: text width 8, two layers of widths 4 and 6."""

    def make(trained_keys: bool = False, seed: int = 0, **changes: Any) -> Concept:
        return concept({"up.0.attn2": 6, "down.0.attn2": 4}, 8, trained_keys, seed, **changes)

    return make


@pytest.fixture
def make_sd15_concept() -> Callable[..., Concept]:
    """The layout of Stable Diffusion 1.5: 16 cross-attentions, text width 768, a recipe of real length."""

    def make(trained_keys: bool = False, **changes: Any) -> Concept:
        widths = {
            **{f"down_blocks.{b}.attentions.{a}": 320 * 2**b for b in range(3) for a in range(2)},
            "mid_block.attentions.0": 1280,
            **{f"up_blocks.{b}.attentions.{a}": 320 * 2 ** (3 - b) for b in (1, 2, 3) for a in range(3)},
        }
        widths = {f"{path}.transformer_blocks.0.attn2": width for path, width in widths.items()}
        recipe: dict[str, Any] = {f"a_real_setting_{i}": 0.0125 * i for i in range(24)}
        base = "stable-diffusion-v1-5/stable-diffusion-v1-5"
        return concept(widths, 768, trained_keys, **{"base": base, "recipe": recipe, **changes})

    return make


@pytest.fixture(scope="session")
def good_file() -> bytes:
    return concept_bytes(concept({"up.0.attn2": 6, "down.0.attn2": 4}, 8))


@pytest.fixture(scope="session")
def good_file_with_keys() -> bytes:
    return concept_bytes(concept({"up.0.attn2": 6, "down.0.attn2": 4}, 8, trained_keys=True))
