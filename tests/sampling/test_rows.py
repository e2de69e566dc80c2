"""Several images of one request: fronts, grids, and rows with prompts of their own."""

from __future__ import annotations

import numpy as np
import pytest

from perfusion_core.errors import PerfusionError, PromptError
from perfusion_core.sampling.generator import front, generate, generate_rows, grid
from perfusion_core.sampling.repeat import repeat
from perfusion_core.sampling.request import Row
from tests.sampling.asking import PROMPT, ask, bits


def test_a_front_is_what_single_images_at_its_biases_are(tiny_base, concepts, covariance) -> None:
    biases = (1.1, 0.75, 0.4)
    points = front(tiny_base, concepts, ask(), "Biscuit", biases, covariance=covariance).images
    assert [p.recipe.concepts[0].bias for p in points] == list(biases)
    assert {p.recipe.seed for p in points} == {7}
    for bias, point in zip(biases, points, strict=True):
        single = generate(tiny_base, concepts, ask(biases={"biscuit": bias}), covariance=covariance).images[0]
        assert bits(single.image) == bits(point.image)


def test_a_front_moves_the_bias_the_prompt_wrote_and_says_so(tiny_base, concepts, covariance) -> None:
    request = ask("a photo of <biscuit:0.6>")
    points = front(tiny_base, concepts, request, "biscuit", (0.9, 0.5), covariance=covariance).images
    assert [p.recipe.prompt for p in points] == ["a photo of <biscuit:0.9>", "a photo of <biscuit:0.5>"]
    assert bits(points[0].image) != bits(points[1].image)


def test_a_front_of_two_seeds_goes_seed_by_seed(tiny_base, concepts, covariance) -> None:
    made = front(tiny_base, concepts, ask(count=2), "biscuit", (0.9, 0.5), covariance=covariance).images
    assert [(m.recipe.seed, m.recipe.concepts[0].bias) for m in made] == [
        (7, 0.9),
        (7, 0.5),
        (8, 0.9),
        (8, 0.5),
    ]


def test_a_grid_changes_the_first_bias_by_row(tiny_base, concepts, covariance) -> None:
    request = ask("a <biscuit> next to <mug>")
    cells = grid(
        tiny_base, concepts, request, ("biscuit", "mug"), ((0.9, 0.5), (0.8, 0.6, 0.4)), covariance=covariance
    ).images
    assert [tuple(c.bias for c in cell.recipe.concepts) for cell in cells] == [
        (a, b) for a in (0.9, 0.5) for b in (0.8, 0.6, 0.4)
    ]
    assert len({bits(cell.image) for cell in cells}) == 6
    with pytest.raises(PerfusionError, match="two different concepts"):
        grid(tiny_base, concepts, request, ("mug", "mug"), ((0.9,), (0.8,)), covariance=covariance)


def test_a_front_of_a_concept_that_is_not_in_the_prompt_is_refused(tiny_base, concepts, covariance) -> None:
    with pytest.raises(PromptError, match="does not name <mug>"):
        front(tiny_base, concepts, ask(), "mug", (0.9, 0.5), covariance=covariance)


def test_rows_with_prompts_of_their_own_show_what_single_images_show(tiny_base, concepts, covariance) -> None:
    rows = [
        Row(7, {}),
        Row(8, {"biscuit": 0.5}, "a <biscuit> in the snow"),
        Row(7, {}, "sketch of <biscuit>"),
    ]
    made = generate_rows(tiny_base, concepts, ask(negative_prompt="red"), rows, covariance=covariance).images
    assert [m.recipe.prompt for m in made] == [PROMPT, "a <biscuit> in the snow", "sketch of <biscuit>"]
    assert [len(m.recipe.concepts) for m in made] == [1, 1, 1]
    for image in made:
        alone = repeat(tiny_base, concepts, image.recipe, covariance=covariance).images[0]
        difference = np.abs(np.asarray(alone.image, dtype=float) - np.asarray(image.image, dtype=float))
        assert difference.max() <= 2  # of 255: sums of a batch are grouped otherwise


def test_a_row_may_not_name_a_concept_that_the_request_does_not(tiny_base, concepts, covariance) -> None:
    with pytest.raises(PromptError, match="<mug>"):
        generate_rows(tiny_base, concepts, ask(), [Row(1, {}, "a <mug>")], covariance=covariance)
