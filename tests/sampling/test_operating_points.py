from __future__ import annotations

import math
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from perfusion_core.errors import PerfusionError
from perfusion_core.sampling.operating_points import (
    LOCKS,
    RANGES,
    bias_to_slider,
    default_bias,
    front_biases,
    slider_to_bias,
)


@given(st.floats(0, 1), st.sampled_from(LOCKS))
def test_slider_and_bias_are_each_others_inverse(fidelity: float, lock: str) -> None:
    assert bias_to_slider(slider_to_bias(fidelity, lock), lock) == pytest.approx(fidelity, abs=1e-9)


@given(st.floats(0, 1), st.floats(0, 1), st.sampled_from(LOCKS))
def test_more_fidelity_is_never_a_higher_bias(one: float, other: float, lock: str) -> None:
    low, high = sorted((one, other))
    assert slider_to_bias(high, lock) <= slider_to_bias(low, lock)


@pytest.mark.parametrize(("lock", "paper"), [("local", (0.60, 0.75)), ("global", (0.40, 0.60))])
def test_the_papers_interval_and_the_default_lie_inside_the_slider(
    lock: str, paper: tuple[float, float]
) -> None:
    ends = RANGES[lock]  # type: ignore[index]
    for bias in (*paper, ends.default):
        assert ends.photo_end < bias < ends.prompt_end
    assert paper[0] <= default_bias(lock) <= paper[1]


@pytest.mark.parametrize("lock", LOCKS)
def test_the_sliders_ends_shut_and_open_the_concepts_own_gate(lock: str) -> None:
    def own_gate(fidelity: float) -> float:
        return 1 / (1 + math.exp(-(1 - slider_to_bias(fidelity, lock)) / 0.15))

    assert own_gate(0.0) < 0.05
    assert own_gate(1.0) > 0.95
    assert 0.2 < own_gate(0.45) < 0.8  # and between them it does not jump


def test_the_global_lock_wants_lower_biases() -> None:
    assert all(slider_to_bias(x, "global") < slider_to_bias(x, "local") for x in (0.0, 0.5, 1.0))


def test_biases_beyond_the_slider_stop_at_its_ends() -> None:
    assert bias_to_slider(2.5) == 0.0
    assert bias_to_slider(-0.5) == 1.0


def test_a_front_runs_from_the_prompts_end_to_the_photos_end() -> None:
    biases = front_biases(7)
    assert len(biases) == 7
    assert biases[0] == RANGES["local"].prompt_end
    assert biases[-1] == RANGES["local"].photo_end
    assert list(biases) == sorted(biases, reverse=True)
    assert front_biases(3, "local", (0.9, 0.5)) == (0.9, 0.7, 0.5)


@pytest.mark.parametrize(
    "call",
    [
        lambda: slider_to_bias(1.2),
        lambda: slider_to_bias(float("nan")),
        lambda: slider_to_bias(0.5, "sideways"),
        lambda: bias_to_slider(float("inf")),
        lambda: front_biases(1),
        lambda: front_biases(65),
        lambda: front_biases(3, "local", (0.5, 9.0)),
    ],
)
def test_impossible_settings_are_refused_in_words(call) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(PerfusionError, match=r"\w+ \w+ \w+"):
        call()


def test_operating_points_are_known_without_torch() -> None:
    code = "import sys, perfusion_core.sampling.operating_points; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
