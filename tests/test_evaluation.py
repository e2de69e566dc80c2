from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from perfusion_core.errors import PerfusionError
from perfusion_core.evaluation import (
    FrontPoint,
    hypervolume,
    image_similarity,
    knee,
    monotonicity,
    on_grey,
    pareto,
    photo_agreement,
    text_similarity,
)


class ColourScorer:
    """Sees nothing but the mean colour, so that every score can be worked out by hand."""

    name = "mean-colour"

    def image_features(self, images: list[Image.Image]) -> torch.Tensor:
        pixels = torch.stack([torch.from_numpy(np.array(i.convert("RGB"), dtype=np.float32)) for i in images])
        return torch.nn.functional.normalize(pixels.mean(dim=(1, 2)), dim=1)

    def text_features(self, texts: list[str]) -> torch.Tensor:
        colours = {"red": (1.0, 0.0, 0.0), "green": (0.0, 1.0, 0.0)}
        return torch.tensor([colours[text.split()[1]] for text in texts])


def plain(*colour: int) -> Image.Image:
    return Image.new("RGB", (8, 8), colour)


RED, GREEN = plain(255, 0, 0), plain(0, 255, 0)
points = st.lists(
    st.builds(FrontPoint, st.floats(0, 1), st.floats(0.01, 1), st.floats(0.01, 1)), min_size=1, max_size=12
)


def test_image_similarity_is_the_mean_over_all_photos() -> None:
    assert image_similarity(ColourScorer(), [RED, GREEN], [RED, RED, GREEN]) == pytest.approx([2 / 3, 1 / 3])


def test_masks_hide_what_is_not_the_subject() -> None:
    half = Image.new("RGB", (8, 8), (255, 0, 0))
    half.paste((0, 255, 0), (4, 0, 8, 8))
    left = np.zeros((8, 8), dtype=np.float32)
    left[:, :4] = 1
    same_subject = on_grey(RED, left)
    assert image_similarity(ColourScorer(), [same_subject], [half], masks=[left]) == pytest.approx([1.0])
    assert image_similarity(ColourScorer(), [RED], [half], [left], [left]) == pytest.approx([1.0])
    assert image_similarity(ColourScorer(), [RED], [half])[0] < 0.8


def test_photos_agree_with_each_other_without_counting_themselves() -> None:
    assert photo_agreement(ColourScorer(), [RED, RED, GREEN]) == pytest.approx(1 / 3)
    with pytest.raises(PerfusionError, match="at least two"):
        photo_agreement(ColourScorer(), [RED])


def test_text_similarity_compares_each_image_with_its_own_prompt() -> None:
    scores = text_similarity(
        ColourScorer(), [RED, GREEN, RED], ["a green thing", "a green thing", "a red thing"]
    )
    assert scores == pytest.approx([0.0, 1.0, 1.0])
    assert text_similarity(ColourScorer(), [RED, GREEN], "a red thing") == pytest.approx([1.0, 0.0])


def test_a_placeholder_never_reaches_the_scorer() -> None:
    with pytest.raises(PerfusionError, match="placeholder"):
        text_similarity(ColourScorer(), [RED], "a red <biscuit>")


def test_scoring_nothing_is_refused() -> None:
    with pytest.raises(PerfusionError, match="at least one image and one photo"):
        image_similarity(ColourScorer(), [RED], [])
    with pytest.raises(PerfusionError, match="one prompt an image"):
        text_similarity(ColourScorer(), [RED], ["a red", "a red"])


def test_hypervolume_of_a_staircase_by_hand() -> None:
    stairs = [FrontPoint(0.9, 0.2, 0.8), FrontPoint(0.7, 0.5, 0.5), FrontPoint(0.5, 0.8, 0.1)]
    assert hypervolume(stairs) == pytest.approx(0.2 * 0.8 + 0.3 * 0.5 + 0.3 * 0.1)
    assert hypervolume(stairs, (0.2, 0.1)) == pytest.approx(0.3 * 0.4)
    assert hypervolume([], (0.0, 0.0)) == 0.0


@given(points, points)
def test_more_points_never_shrink_the_hypervolume(some: list[FrontPoint], more: list[FrontPoint]) -> None:
    assert hypervolume(some + more) >= hypervolume(some) - 1e-12


@given(points)
def test_the_hypervolume_is_that_of_the_front_alone_and_of_any_order(some: list[FrontPoint]) -> None:
    assert hypervolume(pareto(some)) == pytest.approx(hypervolume(some))
    assert hypervolume(some[::-1]) == pytest.approx(hypervolume(some))


@given(points)
def test_no_point_of_the_front_is_beaten(some: list[FrontPoint]) -> None:
    for point in pareto(some):
        assert not any(
            other.image >= point.image
            and other.text >= point.text
            and (other.image, other.text) != (point.image, point.text)
            for other in some
        )


def test_the_knee_is_the_corner_of_the_front() -> None:
    bend = [
        FrontPoint(1.0, 0.50, 0.30),
        FrontPoint(0.8, 0.58, 0.295),
        FrontPoint(0.7, 0.66, 0.28),
        FrontPoint(0.6, 0.68, 0.22),
        FrontPoint(0.4, 0.70, 0.10),
    ]
    assert knee(bend).bias == 0.7
    assert knee(bend[::-1]).bias == 0.7


def test_the_knee_of_one_point_is_that_point_and_of_none_an_error() -> None:
    only = FrontPoint(0.6, 0.5, 0.5)
    assert knee([only, only]) == only
    with pytest.raises(PerfusionError, match="no knee"):
        knee([])


def test_a_beaten_point_is_never_the_knee() -> None:
    points = [FrontPoint(0.9, 0.2, 0.8), FrontPoint(0.7, 0.1, 0.7), FrontPoint(0.5, 0.6, 0.5)]
    assert knee(points).bias != 0.7


def test_a_steady_sweep_is_told_from_a_dead_and_a_wrong_one() -> None:
    def sweep(image: list[float], text: list[float]) -> list[FrontPoint]:
        return [FrontPoint(1 - 0.1 * k, i, t) for k, (i, t) in enumerate(zip(image, text, strict=True))]

    assert monotonicity(sweep([0.1, 0.2, 0.3], [0.9, 0.8, 0.7])) == (1.0, 1.0)
    assert monotonicity(sweep([0.1, 0.1, 0.1], [0.5, 0.5, 0.5])) == (0.0, 0.0)
    assert monotonicity(sweep([0.3, 0.2, 0.1], [0.7, 0.8, 0.9])) == (-1.0, -1.0)
    with pytest.raises(PerfusionError, match="two points"):
        monotonicity(sweep([0.1], [0.1]))
