"""The arithmetic behind the tables: fronts, hypervolume, intervals, bleed."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from benchmarks.rivals.bleed import DIFFERENT, SAME, bleed, pairs_of
from benchmarks.rivals.fronts import (
    Front,
    dominated_share,
    hypervolume_interval,
    interval,
    mean_interval,
    ratio_interval,
    resamples,
)
from benchmarks.rivals.losses import number
from benchmarks.rivals.scoring import diversity, right
from perfusion_core.evaluation import FrontPoint, hypervolume


def front_of(
    points: list[tuple[float, float]], concepts: int = 3, seeds: int = 2, noise: float = 0.0
) -> Front:
    rng = np.random.default_rng(0)
    image, text = (np.array(values)[:, None, None] for values in zip(*points, strict=True))
    drawn = rng.normal(0, noise, (len(points), concepts, seeds))
    return Front(image + drawn, np.broadcast_to(text, drawn.shape).copy())


def test_hypervolume_of_a_staircase_by_hand() -> None:
    # Above (0.5, 0.1): 0.1 wide and 0.3 high, then 0.1 and 0.2, then 0.2 and 0.1; the last is dominated.
    points = [(0.6, 0.4), (0.7, 0.3), (0.9, 0.2), (0.65, 0.25)]
    found = [FrontPoint(0.0, image, text) for image, text in points]
    assert hypervolume(found, (0.5, 0.1)) == pytest.approx(0.1 * 0.3 + 0.1 * 0.2 + 0.2 * 0.1)
    assert hypervolume(front_of(points).points(), (0.5, 0.1)) == pytest.approx(0.07)
    assert hypervolume(found, (0.95, 0.1)) == 0.0


def test_the_share_of_a_front_that_ours_dominates() -> None:
    theirs = [FrontPoint(0, 0.6, 0.4), FrontPoint(1, 0.7, 0.3), FrontPoint(2, 0.5, 0.2)]  # the last is inside
    ours = [FrontPoint(0, 0.75, 0.3)]
    assert dominated_share(ours, theirs) == 0.5
    assert dominated_share(theirs, ours) == 0.0
    assert dominated_share(theirs, theirs) == 0.0  # equal is not better


def test_intervals_hold_the_figure_and_narrow_with_less_noise() -> None:
    drawn = resamples(3, 2, 300, seed=1)
    quiet, loud = (front_of([(0.6, 0.4), (0.8, 0.2)], noise=noise) for noise in (0.0, 0.05))
    still = hypervolume_interval(quiet, (0.5, 0.1), drawn)
    assert (still.low, still.high) == pytest.approx((still.value, still.value))
    wide = hypervolume_interval(loud, (0.5, 0.1), drawn)
    assert wide.low < wide.value < wide.high
    again = hypervolume_interval(loud, (0.5, 0.1), resamples(3, 2, 300, seed=1))
    assert wide == again, "the same seed gives the same interval"


def test_one_concept_and_one_seed_have_no_interval() -> None:
    found = mean_interval(np.array([[0.5]]), resamples(1, 1, 20))
    assert found.value == 0.5
    assert np.isnan(found.low)
    assert np.isnan(found.high)
    assert not found.apart(mean_interval(np.array([[0.1]]), resamples(1, 1, 20)))
    assert number(found) == "0.500"


def test_the_bootstrap_covers_a_known_mean() -> None:
    rng, covered = np.random.default_rng(0), 0
    for run in range(60):
        values = rng.normal(1.0, 0.3, (12, 4))
        found = mean_interval(values, resamples(12, 4, 200, seed=run))
        covered += found.low <= 1.0 <= found.high
    assert covered >= 51  # of 60, at 95 %: binomial, one in 2000 runs below


def test_a_ratio_is_paired() -> None:
    drawn = resamples(3, 2, 200, seed=0)
    front = front_of([(0.6, 0.4), (0.8, 0.2)], noise=0.05)
    found = ratio_interval(front, front, (0.3, 0.1), drawn)
    assert (found.value, found.low, found.high) == pytest.approx((1.0, 1.0, 1.0))
    nothing = front_of([(0.1, 0.05)])
    assert ratio_interval(front, nothing, (0.3, 0.1), drawn).value == float("inf")


def test_a_knob_is_as_steady_as_on_its_worst_concept() -> None:
    image = np.array([[0.1, 0.1], [0.2, 0.3], [0.3, 0.2]])[:, :, None]  # the second concept turns back once
    text = np.array([[0.3, 0.3], [0.2, 0.2], [0.1, 0.1]])[:, :, None]
    assert Front(image, text).steadiness() == pytest.approx((1 / 3, 1.0))


def test_what_is_not_a_number_is_left_out_of_a_mean() -> None:
    values = np.array([[1.0, np.nan], [3.0, np.nan]])
    assert mean_interval(values, resamples(2, 2, 50)).value == 2.0
    nothing = interval(lambda c, s: float("nan"), resamples(2, 2, 10))
    assert np.isnan(nothing.value)


def directions(*angles: float) -> torch.Tensor:
    return torch.tensor([[np.cos(a), np.sin(a)] for a in angles], dtype=torch.float32)


def test_bleed_by_hand() -> None:
    things = directions(0.0, np.pi / 2)  # A and B
    apart, swapped = directions(0.1, 1.5), directions(1.5, 0.1)
    two_of_a = directions(0.1, 0.2)
    leaning = directions(0.1, 0.7)  # the right side is a little nearer to A
    found = bleed(torch.stack([apart, swapped, two_of_a, leaning]), things)
    assert found.bled == [0.0, 0.0, 1.0, 1.0]
    assert found.margin[0] == pytest.approx(found.margin[1])
    by_hand = (np.cos(0.1) - np.sin(0.1) + np.sin(1.5) - np.cos(1.5)) / 2
    assert found.margin[0] == pytest.approx(by_hand, abs=1e-6)
    assert found.margin[2] == pytest.approx(
        (np.cos(0.1) - np.sin(0.1) + np.sin(0.2) - np.cos(0.2)) / 2, abs=1e-6
    )


def test_pairs_of_one_kind_and_of_different_kinds() -> None:
    kinds = [("rex", "dog"), ("mug", "cup"), ("bello", "dog"), ("cat", "cat")]
    found = pairs_of(kinds, limit=3)
    assert found[SAME] == [("rex", "bello")]
    assert ("rex", "mug") in found[DIFFERENT]
    assert len(found[DIFFERENT]) == 3
    assert all({a, b} != {"rex", "bello"} for a, b in found[DIFFERENT])
    assert pairs_of([("rex", "dog"), ("mug", "cup")], 3)[DIFFERENT] == [("rex", "mug")]  # not both orders
    assert pairs_of([("rex", "dog")], 3) == {SAME: [], DIFFERENT: []}


def test_diversity_is_the_mean_distance_to_the_other_seeds() -> None:
    features = directions(0.0, np.pi / 2, 0.3, 0.3)  # two prompts, two seeds
    found = diversity(features, 2)
    assert found == pytest.approx(np.array([[1.0, 1.0], [0.0, 0.0]]), abs=1e-6)
    assert np.isnan(diversity(features, 1)).all()


def test_an_answer_counts_only_where_it_was_asked_for() -> None:
    said = {"place": "beach", "hat": "none"}
    assert right(said, {"place": "beach"}, "place") == 1.0
    assert right(said, {"hat": "crown"}, "hat") == 0.0
    assert np.isnan(right(said, {}, "place"))
    assert np.isnan(right({}, {"place": "beach"}, "place"))  # a judge that does not tell
