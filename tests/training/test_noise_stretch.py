"""Which stretch of the noise schedule is taught."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from perfusion_core.errors import TrainingError
from perfusion_core.training.examples import draw, encode_examples
from perfusion_core.training.recipe import Recipe


def drawn(setup: Any, count: int, **settings: float) -> torch.Tensor:
    recipe = setup.recipe.changed(batch_size=count, **settings)
    examples = encode_examples(setup.base, setup.photos, setup.masks, recipe)
    return draw(examples, recipe, "<biscuit>", 1000, torch.Generator().manual_seed(3)).timesteps


def test_all_of_it_unless_a_recipe_says_otherwise(setup: Any) -> None:
    times = drawn(setup, 100)
    assert sorted(int(time) // 10 for time in times) == list(range(100))
    assert torch.equal(times, drawn(setup, 100, noise_from=0.0, noise_to=1.0))


def test_a_stretch_is_drawn_from_evenly_and_nothing_else(setup: Any) -> None:
    times = drawn(setup, 40, noise_from=0.5, noise_to=0.9)
    assert sorted((int(time) - 500) // 10 for time in times) == list(range(40))


def test_the_very_end_of_the_schedule_can_be_drawn_and_not_more(setup: Any) -> None:
    times = drawn(setup, 16, noise_from=0.999, noise_to=1.0)
    assert set(times.tolist()) == {999}


def test_a_run_on_a_stretch_learns_something_else(setup: Any) -> None:
    whole = setup.learn(run_dir=setup.folder / "whole")
    part = setup.learn(recipe=setup.recipe.changed(noise_from=0.5, noise_to=0.9))
    assert not torch.equal(whole.embedding, part.embedding)
    assert part.metadata.recipe["noise_from"] == 0.5


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"noise_from": 0.9, "noise_to": 0.5}, "noise_from is 0.9 and noise_to 0.5; choose a larger"),
        ({"noise_from": 1.0}, "noise_from is 1.0 and noise_to 1.0; choose a larger"),
        ({"noise_to": 1.5}, "noise_to is 1.5; choose a value from 0.0 to 1.0"),
        ({"noise_from": "half"}, "noise_from must be a number"),
    ],
)
def test_a_stretch_that_cannot_be_is_refused_by_name(settings: dict[str, Any], said: str) -> None:
    with pytest.raises(TrainingError, match=said):
        Recipe.from_dict(settings)
