"""Operating points on the Pareto front of image and text similarity: the main slider, in numbers.

The gate bias of a concept decides how strongly a token has to resemble the concept before the concept acts on
it. A high bias follows the prompt, a low one follows the photos. This file is free of torch, so that a form
can be shown before anything heavy is loaded.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from perfusion_core.edit.choices import DEFAULT_BIAS, LOCKS, WIDEST_BIAS, Lock
from perfusion_core.errors import PerfusionError


@dataclass(frozen=True)
class OperatingRange:
    """The gate biases between which the slider moves."""

    prompt_end: float
    photo_end: float
    default: float


# Between its ends the slider takes a concept's own gate, sigma((1 - bias) / temperature), from all but shut
# (0.03 at 1.5: the base's own image of the concept's word) to all but open (0.98 at 0.4, where the gates of
# the words beside it open too). Beyond either end images stop changing or fall apart. The global lock takes
# all keys from the superclass and bears lower biases.
RANGES: dict[Lock, OperatingRange] = {
    "local": OperatingRange(prompt_end=1.5, photo_end=0.4, default=DEFAULT_BIAS["local"]),
    "global": OperatingRange(prompt_end=1.45, photo_end=0.2, default=DEFAULT_BIAS["global"]),
}


def check_lock(lock: str) -> Lock:
    """`lock` itself when it is one of `LOCKS`; `PerfusionError` otherwise."""
    for known in LOCKS:
        if lock == known:
            return known
    raise PerfusionError(f"There is no lock called {lock!r}. Choose one of: {', '.join(LOCKS)}.")


def check_bias(bias: float, name: str = "") -> float:
    """`bias` as a float when it is a usable gate bias; `PerfusionError` otherwise."""
    low, high = WIDEST_BIAS
    if not (math.isfinite(bias) and low <= bias <= high):
        owner = f" of <{name}>" if name else ""
        raise PerfusionError(f"The bias{owner} is {bias}; it has to be between {low} and {high}. Try 0.65.")
    return float(bias)


def slider_to_bias(fidelity: float, lock: str = "local") -> float:
    """Gate bias for a slider position. `fidelity` 0 follows the prompt, 1 follows the photos."""
    if not 0.0 <= fidelity <= 1.0:
        raise PerfusionError(f"The slider goes from 0 (prompt) to 1 (photos); {fidelity} lies outside.")
    ends = RANGES[check_lock(lock)]
    return ends.prompt_end + fidelity * (ends.photo_end - ends.prompt_end)


def bias_to_slider(bias: float, lock: str = "local") -> float:
    """Slider position of a gate bias; biases beyond the slider's ends give 0 or 1."""
    ends = RANGES[check_lock(lock)]
    position = (check_bias(bias) - ends.prompt_end) / (ends.photo_end - ends.prompt_end)
    return min(1.0, max(0.0, position))


def default_bias(lock: str = "local") -> float:
    """The bias used for a concept that carries no recommendation of its own."""
    return RANGES[check_lock(lock)].default


def front_biases(
    points: int, lock: str = "local", ends: tuple[float, float] | None = None
) -> tuple[float, ...]:
    """`points` biases evenly spaced from the prompt's end to the photos' end (or between `ends`).

    Rounded to four places, so that a bias shown to a person is exactly the bias that was used.
    """
    if points < 2:
        raise PerfusionError(f"A front needs at least 2 points, not {points}.")
    if points > 64:
        raise PerfusionError(f"A front of {points} points is too many; ask for 64 or fewer.")
    here = RANGES[check_lock(lock)]
    first, last = ends if ends is not None else (here.prompt_end, here.photo_end)
    check_bias(first)
    check_bias(last)
    return tuple(round(first + (last - first) * k / (points - 1), 4) for k in range(points))
