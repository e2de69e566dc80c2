from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from perfusion_core.sampling.generator import front, generate
from perfusion_core.sampling.png import read_recipe, save_png
from perfusion_core.sampling.repeat import differences, repeat
from perfusion_core.sampling.request import GenerationRequest


@pytest.fixture
def concepts(tiny_base: Any, make_concept: Any) -> dict[str, Any]:
    made = [make_concept(tiny_base), make_concept(tiny_base, "mug", "cup", seed=1, temperature=0.2)]
    return {concept.name: concept for concept in made}


@pytest.fixture
def options(tiny_covariance: Any) -> dict[str, Any]:
    class Covariance:
        inverse, fingerprint = tiny_covariance, "c0ffee"

    return {"covariance": Covariance()}


def test_an_image_is_repeated_bit_for_bit_from_its_file(tiny_base, concepts, options, tmp_path: Path) -> None:
    request = GenerationRequest(
        "a <biscuit:0.61> next to <mug>",
        negative_prompt="snow",
        seed=11,
        steps=3,
        count=2,
        scheduler="euler-a",
        removal="paper",
        biases={"mug": 1 / 3},
        width=96,
    )
    made = generate(tiny_base, concepts, request, **options).images[1]
    recipe = read_recipe(save_png(made.image, made.recipe, tmp_path / "image.png"))
    assert differences(recipe, tiny_base, concepts) == []
    again = repeat(tiny_base, concepts, recipe, **options).images[0]
    assert again.image.tobytes() == made.image.tobytes()
    assert again.recipe == made.recipe


def test_every_image_of_a_front_can_be_repeated_alone(tiny_base, concepts, options) -> None:
    request = GenerationRequest("a <biscuit>", seed=3, steps=3, lock="global", temperature=0.12)
    for point in front(tiny_base, concepts, request, "biscuit", (0.9, 0.41234567), **options).images:
        assert (
            repeat(tiny_base, concepts, point.recipe, **options).images[0].image.tobytes()
            == point.image.tobytes()
        )


def test_what_differs_is_named(tiny_base, concepts, options, make_concept) -> None:
    recipe = (
        generate(tiny_base, concepts, GenerationRequest("<biscuit> and <mug>", steps=2), **options)
        .images[0]
        .recipe
    )
    other = {"biscuit": make_concept(tiny_base, seed=5)}
    moved = recipe.model_copy(update={"base_fingerprint": "other", "base": "big", "precision": "bfloat16"})
    said = differences(moved, tiny_base, other)
    assert len(said) == 4
    assert "not those of big" in said[0]
    assert "<biscuit> is another concept" in said[1]
    assert "no concept <mug>" in said[2]
    assert "bfloat16" in said[3]


def test_a_renamed_copy_of_a_note_does_not_count_as_a_difference(tiny_base, concepts, options) -> None:
    recipe = (
        generate(tiny_base, concepts, GenerationRequest("<biscuit>", steps=2), **options).images[0].recipe
    )
    noted = {"biscuit": concepts["biscuit"].with_metadata(notes="hers", bias={"local": 0.9})}
    assert differences(recipe, tiny_base, noted) == []
