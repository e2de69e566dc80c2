"""Concepts and statistics for the tiny base."""

from __future__ import annotations

from typing import Any

import pytest
import torch


class Covariance:
    fingerprint = "c0ffee"
    condition = 1.0

    def __init__(self, inverse: torch.Tensor) -> None:
        self.inverse = inverse


@pytest.fixture
def covariance(tiny_covariance: torch.Tensor) -> Any:
    return Covariance(tiny_covariance)


@pytest.fixture
def concepts(tiny_base: Any, make_concept: Any) -> dict[str, Any]:
    made = [make_concept(tiny_base), make_concept(tiny_base, "mug", "cup", seed=1)]
    return {concept.name: concept for concept in made}
