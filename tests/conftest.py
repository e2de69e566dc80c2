"""Shared fixtures: a tiny base model of the true classes, and concepts that fit it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable


@pytest.fixture(scope="session")
def tiny_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny base as a diffusers folder, for `load_base` and `--base`."""
    from tests.tiny_model import save_tiny_base

    return save_tiny_base(tmp_path_factory.mktemp("bases") / "tiny")


@pytest.fixture
def tiny_pipe() -> Any:
    """A fresh tiny StableDiffusionPipeline with fixed weights."""
    from tests.tiny_model import tiny_pipeline

    return tiny_pipeline()


@pytest.fixture
def tiny_base() -> Any:
    """A fresh tiny BaseModel with fixed weights, on the CPU in float32."""
    from perfusion_core.model.base import BaseModel
    from tests.tiny_model import tiny_pipeline

    return BaseModel("tiny", tiny_pipeline())


@pytest.fixture
def make_concept() -> Callable[..., Any]:
    """make_concept(base, name="biscuit", superclass="dog", seed=0, trained_keys=False, **metadata)."""
    from tests.tiny_concept import random_concept

    return random_concept


@pytest.fixture
def tiny_covariance() -> Any:
    """An inverse covariance for the tiny base, (32, 32)."""
    from tests.tiny_concept import random_inverse_covariance

    return random_inverse_covariance(32)
