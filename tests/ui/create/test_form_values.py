"""The Create form as a request, and a recipe as the form."""

from __future__ import annotations

import pytest

from perfusion_core.errors import PerfusionError
from perfusion_core.sampling.request import LARGEST_SEED
from perfusion_core.ui.create.form_values import Asked
from perfusion_core.ui.create.restored_form import form_values

UNTOUCHED = {
    "negative_prompt": "",
    "seed": "7",
    "count": 2,
    "steps": 0,
    "guidance": 0,
    "width": 0,
    "height": 0,
    "scheduler": "",
    "lock": "local",
}


def test_zeros_in_the_form_mean_the_base_models_own_values() -> None:
    asked = Asked.of("a <mug>", UNTOUCHED).request({"mug": 100})
    assert (asked.steps, asked.guidance, asked.width, asked.scheduler) == (None, None, None, None)
    assert (asked.seed, asked.count) == (7, 2)
    assert asked.biases["mug"] == pytest.approx(0.4)


def test_every_seed_there_is_passes_the_form_exactly() -> None:
    for seed in (0, 2**53 + 1, LARGEST_SEED):
        assert Asked.of("a dog", {**UNTOUCHED, "seed": str(seed)}).seed == seed
    assert Asked.of("a dog", {**UNTOUCHED, "seed": None}).seed == 0


@pytest.mark.parametrize("text", ["-1", "1.5", "1e3", "seven", str(2**63), "٣", "9" * 10_000])
def test_what_is_no_seed_is_named_with_what_may_be(text: str) -> None:
    with pytest.raises(PerfusionError, match=f"whole number from 0 to {LARGEST_SEED}") as refused:
        Asked.of("a dog", {**UNTOUCHED, "seed": text})
    assert len(str(refused.value)) < 200


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
    assert form_values(recipe) == {
        "prompt": "a dog",
        "negative_prompt": "",
        "seed": "3",
        "count": 1,
        "steps": 9,
        "guidance": 2.0,
        "width": 128,
        "height": 64,
        "scheduler": "euler",
        "lock": "global",
    }
