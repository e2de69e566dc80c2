"""What the photo outside the subject's mask counts."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from perfusion_core.errors import TrainingError
from perfusion_core.training.recipe import Recipe


def learned(setup: Any, rows: int, background: float, folder: str) -> Any:
    """The concept of a run whose masks are the first `rows` of each photo."""
    setup.masks = [(np.arange(64)[:, None] < rows).astype(np.float32) * np.ones((64, 64), np.float32)] * 2
    recipe = setup.recipe.changed(background=background)
    return setup.learn(recipe=recipe, run_dir=setup.folder / folder)


def test_a_run_that_counts_all_of_the_background_learns_as_one_without_masks(setup: Any) -> None:
    masked = learned(setup, 32, 1.0, "masked")
    whole = learned(setup, 64, 0.0, "whole")
    for path, value in masked.values.items():
        assert torch.allclose(value, whole.values[path], atol=1e-5)


def test_a_run_with_some_background_learns_something_else_and_says_so(setup: Any) -> None:
    none = learned(setup, 32, 0.0, "none")
    some = learned(setup, 32, 0.3, "some")
    assert any(not torch.equal(value, some.values[path]) for path, value in none.values.items())
    assert some.metadata.recipe["background"] == 0.3


def test_a_share_that_cannot_be_is_refused_by_name() -> None:
    with pytest.raises(TrainingError, match=r"background is 1\.5; choose a value from 0\.0 to 1\.0"):
        Recipe.from_dict({"background": 1.5})
