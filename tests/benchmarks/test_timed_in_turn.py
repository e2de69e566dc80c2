"""What the benchmarks of live drawing and of fronts count."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from benchmarks.live import Line
from benchmarks.overhead import front_ways, in_turn
from benchmarks.timing import Seconds
from perfusion_core.sampling.operating_points import front_biases


def test_a_line_through_two_numbers_of_steps_tells_the_step_from_the_overhead() -> None:
    line = Line.through((4, 20), (4 * 0.25 + 1.5, 20 * 0.25 + 1.5))
    assert line.step == pytest.approx(0.25)
    assert line.overhead == pytest.approx(1.5)
    assert line.at(50) == pytest.approx(14.0)


def test_a_front_is_one_prompt_and_seed_at_each_gate_bias_beside_as_many_plain_images(tiny_base: Any) -> None:
    plain, taught = (make().images for make in front_ways(tiny_base, 7, steps=2, size=64))
    assert len(plain) == len(taught) == 7
    assert not any(image.recipe.concepts for image in plain)
    assert [image.recipe.concepts[0].bias for image in taught] == list(front_biases(7))
    assert len({image.recipe.seed for image in taught}) == 1
    assert len({image.recipe.seed for image in plain}) == 7
    assert all((each.recipe.steps, each.image.size) == (2, (64, 64)) for each in plain + taught)
    pixels = [np.asarray(image.image, dtype=np.float64) for image in taught]
    assert np.abs(pixels[0] - pixels[-1]).mean() > 1


def test_one_of_each_warms_up_and_the_others_are_counted_in_pairs() -> None:
    calls: list[str] = []

    def way(name: str) -> Any:
        def run() -> Seconds:
            calls.append(name)
            return Seconds(len(calls), 0)

        return run

    pairs = in_turn(way("plain"), way("ours"), 3)
    assert calls == ["plain", "ours"] * 4
    assert [(a.clock, b.clock) for a, b in pairs] == [(3, 4), (5, 6), (7, 8)]
