"""How the learning rates rise at the start of a run and fall at its end."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from perfusion_core.training.recipe import Recipe
from perfusion_core.training.step import rate_share


def test_rates_are_level_where_the_recipe_asks_for_nothing_else() -> None:
    recipe = Recipe(steps=10)
    assert [rate_share(recipe, step) for step in range(10)] == [1.0] * 10


def test_rates_rise_over_the_warm_up_and_fall_over_the_cooldown() -> None:
    recipe = Recipe(steps=10, warmup=3, cooldown=0.4)
    shares = [rate_share(recipe, step) for step in range(10)]
    assert shares == pytest.approx([0.25, 0.5, 0.75, 1, 1, 1, 1, 0.75, 0.5, 0.25])


def test_a_run_that_cools_down_ends_elsewhere_than_a_level_one(setup: Any) -> None:
    level = setup.learn(recipe=setup.recipe)
    cooled = setup.learn(recipe=setup.recipe.changed(cooldown=0.5), run_dir=setup.folder.parent / "cooled")
    path = next(iter(level.values))
    assert not torch.equal(level.values[path], cooled.values[path])
