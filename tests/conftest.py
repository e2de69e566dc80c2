"""Shared fixtures: a tiny base model of the true classes, and concepts that fit it."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests import browsers, cards

if TYPE_CHECKING:
    from collections.abc import Callable

if "PYTEST_XDIST_WORKER" in os.environ:  # there is a process a core already; set before torch is imported
    os.environ.setdefault("OMP_NUM_THREADS", "1")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """A file's tests run in one process, and so do all journeys in the browser, which share one app; what
    needs a graphics card is skipped where there is none.
    """
    for item in items:
        needs = item.get_closest_marker("gpu")
        reason = cards.reason_to_skip(*needs.args, **needs.kwargs) if needs else ""
        if reason:
            item.add_marker(pytest.mark.skip(reason=reason))
        together = "browser" if item.get_closest_marker("browser") else str(item.path)
        item.add_marker(pytest.mark.xdist_group(together))


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Say at the end how many browser journeys and card tests did not run, and what brings them."""
    reasons = [str(report.longrepr) for report in terminalreporter.stats.get("skipped", [])]
    for title, words in (
        ("browser journeys", browsers.summary(reasons)),
        ("card tests", cards.summary(reasons)),
    ):
        if words:
            terminalreporter.write_sep("-", title)
            terminalreporter.write_line(words)


@pytest.fixture(scope="session")
def tiny_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny base as a diffusers folder with its statistics, for `load_base` and `--base`."""
    from perfusion_core.model.base import load_base
    from perfusion_core.model.statistics import SHIPPED_NAME, compute, read_captions, save_statistics
    from tests.tiny_model import save_tiny_base

    folder = save_tiny_base(tmp_path_factory.mktemp("bases") / "tiny")
    base = load_base(folder, device="cpu")
    stats = compute(base, read_captions()[:300], text=base.text_fingerprint, progress=False)
    save_statistics(stats, base.text_fingerprint, folder / SHIPPED_NAME)
    return folder


@pytest.fixture
def tiny_pipe() -> Any:
    """A fresh tiny StableDiffusionPipeline with fixed weights."""
    from tests.tiny_model import tiny_pipeline

    return tiny_pipeline()


@pytest.fixture
def tiny_base() -> Any:
    """A fresh tiny Base with fixed weights, on the CPU in float32; use it with `tiny_covariance`."""
    from perfusion_core.model.base import Base
    from tests.tiny_model import tiny_pipeline

    return Base("tiny", tiny_pipeline())


@pytest.fixture
def make_concept() -> Callable[..., Any]:
    """make_concept(model, name="biscuit", superclass="dog", seed=0, trained_keys=False, **metadata)."""
    from tests.tiny_concept import random_concept

    return random_concept


@pytest.fixture
def tiny_covariance() -> Any:
    """An inverse covariance for the tiny base, (32, 32)."""
    from tests.tiny_concept import random_inverse_covariance

    return random_inverse_covariance(32)
