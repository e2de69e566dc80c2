from __future__ import annotations

import math
import random
from statistics import pstdev

import pytest
from hypothesis import given
from hypothesis import strategies as st

from perfusion_core.errors import PerfusionError
from perfusion_core.evaluation import FrontPoint, knee
from perfusion_core.sampling.operating_points import LOCKS, RANGES, Lock, bias_to_slider, front_biases
from perfusion_core.studio.fronts.recommendation import recommended_bias

scores = st.lists(st.floats(0, 1), min_size=7, max_size=7)


def front(image: list[float], text: list[float], lock: Lock = "local") -> list[FrontPoint]:
    """Points from the prompt's end to the photos'."""
    biases = front_biases(len(image), lock)
    return [FrontPoint(b, i, t) for b, i, t in zip(biases, image, text, strict=True)]


# Image similarity is gained early, text similarity lost late: the corner is at the fifth point.
IMAGE = [0.30, 0.34, 0.38, 0.44, 0.50, 0.51, 0.52]
TEXT = [0.60, 0.60, 0.59, 0.58, 0.57, 0.47, 0.38]


def test_a_clean_front_recommends_its_corner() -> None:
    points = front(IMAGE, TEXT)
    assert recommended_bias(points) == pytest.approx(points[4].bias, abs=0.06)
    assert recommended_bias(points[::-1]) == recommended_bias(points)


def test_noise_moves_the_recommendation_less_than_it_moves_the_best_single_point() -> None:
    dice = random.Random(0)
    noisy = [
        front([v + dice.gauss(0, 0.03) for v in IMAGE], [v + dice.gauss(0, 0.03) for v in TEXT])
        for _ in range(200)
    ]
    assert pstdev(map(recommended_bias, noisy)) < 0.7 * pstdev(knee(points).bias for points in noisy)


@given(scores, scores, st.sampled_from(LOCKS))
def test_an_end_of_the_slider_is_never_recommended(image: list[float], text: list[float], lock: Lock) -> None:
    assert 0.09 < bias_to_slider(recommended_bias(front(image, text, lock), lock), lock) < 0.91


@pytest.mark.parametrize("lock", LOCKS)
def test_a_flat_front_recommends_the_default(lock: Lock) -> None:
    flat = front([0.5, 0.501, 0.499, 0.5, 0.5], [0.3, 0.304, 0.3, 0.297, 0.3], lock)
    assert recommended_bias(flat, lock) == RANGES[lock].default


def test_where_only_the_prompt_suffers_the_prompts_side_is_recommended() -> None:
    assert recommended_bias(front([0.5] * 7, TEXT)) > 0.75
    assert recommended_bias(front(IMAGE, [0.5] * 7)) < 0.65


@given(scores, scores, st.sampled_from(LOCKS))
def test_a_concept_opens_with_its_gate_open(image: list[float], text: list[float], lock: Lock) -> None:
    bias = recommended_bias(front(image, text, lock), lock, temperature=0.1)
    assert 1 / (1 + math.exp((bias - 1) / 0.1)) > 0.73


def test_one_point_is_enough_and_none_an_error() -> None:
    assert recommended_bias([FrontPoint(0.6, 0.5, 0.5)]) == RANGES["local"].default
    with pytest.raises(PerfusionError, match="without points"):
        recommended_bias([])


@pytest.mark.parametrize("lock", LOCKS)
@pytest.mark.parametrize("temperature", [0.001, 0.3, 0.45, 0.5, 1.0, 10.0])
def test_the_recommended_bias_is_on_the_slider_at_any_temperature(lock: Lock, temperature: float) -> None:
    ends = RANGES[lock]
    for image, text in (([0.2, 0.5, 0.9], [0.9, 0.8, 0.1]), ([0.1, 0.1, 0.9], [0.5, 0.5, 0.5])):
        points = [FrontPoint(b, i, t) for b, i, t in zip(front_biases(3, lock), image, text, strict=True)]
        assert ends.photo_end <= recommended_bias(points, lock, temperature) <= ends.prompt_end
