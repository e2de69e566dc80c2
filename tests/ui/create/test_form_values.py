"""The Create form as a request, and a recipe as the form."""

from __future__ import annotations

import pytest

from perfusion_core.ui.create.form_values import Asked, form_values


def test_zeros_in_the_form_mean_the_base_models_own_values() -> None:
    asked = Asked.of("a <mug>", "", 7, 2, 0, 0, 0, 0, "", "local").request({"mug": 100})
    assert (asked.steps, asked.guidance, asked.width, asked.scheduler) == (None, None, None, None)
    assert (asked.seed, asked.count) == (7, 2)
    assert asked.biases["mug"] == pytest.approx(0.4)


def test_a_recipe_fills_every_field_of_the_form() -> None:
    from perfusion_core.sampling.png import ImageRecipe

    recipe = ImageRecipe(
        prompt="a dog",
        seed=3,
        steps=9,
        guidance=2.0,
        width=128,
        height=64,
        scheduler="euler",
        lock="global",
        base="pocket",
        base_fingerprint="f",
    )
    assert form_values(recipe) == ["a dog", "", 3, 1, 9, 2.0, 128, 64, "euler", "global"]
