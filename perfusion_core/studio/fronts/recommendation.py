"""The recommended bias of a concept: the knee of its measured front after isotonic regression (PAVA)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from perfusion_core.errors import PerfusionError
from perfusion_core.evaluation import FrontPoint, hypervolume
from perfusion_core.sampling.operating_points import RANGES, Lock
from perfusion_core.studio.fronts.validation import Judge, Validation

if TYPE_CHECKING:
    from perfusion_core.concept import Concept
    from perfusion_core.training.recipe import Recipe

# Few biases and more prompts: scores change smoothly between biases, and each prompt adds another seed.
LOCAL_POINTS = 5
GLOBAL_POINTS = 4
PROMPTS = 6

INNER = 0.8  # the share of the slider, around its middle, that is recommended from
OPEN = 0.75  # the recommended gate of a concept's own token is at least this far open: its subject must show
FLAT = 0.01  # a score that moves less than this along the whole slider says nothing
NEAR_BEST = 0.05  # of the sum of both scores, each scaled to 0..1
_PLACES = 81


def front_validation(recipe: Recipe) -> Validation:
    """PROMPTS of the recipe's validation prompts, evenly spread over them: what a front is measured on."""
    prompts = recipe.validation_prompts
    if len(prompts) > PROMPTS:
        prompts = tuple(prompts[round(k * (len(prompts) - 1) / (PROMPTS - 1))] for k in range(PROMPTS))
    return Validation(prompts, recipe.validation_steps, recipe.validation_guidance)


def with_recommendation(concept: Concept, judge: Judge, scorer: str) -> Concept:
    """The concept with the bias its own front recommends for each lock, and what the front measured."""
    local = judge.sweep(concept, "local", LOCAL_POINTS)
    whole = judge.sweep(concept, "global", GLOBAL_POINTS)
    baseline = judge.baseline(concept.superclass)
    scores = {
        **concept.metadata.scores,
        "front_hypervolume": hypervolume(local),  # above the reference (0, 0)
        "untaught_image": baseline.image,
        "untaught_text": baseline.text,
    }
    temperature = concept.metadata.temperature
    bias = {
        "local": recommended_bias(local, "local", temperature),
        "global": recommended_bias(whole, "global", temperature),
    }
    recipe = {**concept.metadata.recipe, "scorer": scorer}
    return concept.with_metadata(bias=bias, scores=scores, recipe=recipe)


def recommended_bias(points: Sequence[FrontPoint], lock: Lock = "local", temperature: float = 0.15) -> float:
    """The knee of the front smoothed by isotonic regression; the lock's default when that front is flat.

    A few images a point leave scores noisy, and the best single point is often a lucky end of the slider. So
    each score is first made monotonic by isotonic regression (a falling bias raises image similarity and
    lowers text similarity), scaled to 0..1, added, and interpolated linearly between the measured biases. Of
    the interval within NEAR_BEST of the best sum the middle is taken, never in the slider's outer fifth, nor
    where the gate of the concept's own token, at `temperature`, is less than OPEN. Raises `PerfusionError`
    without points.
    """
    if not points:
        raise PerfusionError("A front without points recommends nothing; render at least two.")
    ends = RANGES[lock]
    ordered = sorted(points, key=lambda point: point.bias)
    biases = [point.bias for point in ordered]
    # From the photos' end to the prompt's image similarity falls and text similarity rises.
    image_scores = _scaled([-value for value in _isotonic([-point.image for point in ordered])])
    text_scores = _scaled(_isotonic([point.text for point in ordered]))
    if not any(image_scores) and not any(text_scores):
        return ends.default
    gains = [sum(pair) for pair in zip(image_scores, text_scores, strict=True)]
    margin = (1 - INNER) / 2 * (ends.prompt_end - ends.photo_end)
    shut = 1 - temperature * math.log(OPEN / (1 - OPEN))  # sigma((1 - bias) / temperature) = OPEN
    low = ends.photo_end + margin
    # With a high temperature the gate is nowhere so far open: then the bias that opens it furthest.
    high = max(low, min(ends.prompt_end - margin, shut))
    places = [low + (high - low) * k / (_PLACES - 1) for k in range(_PLACES)]
    values = [float(value) for value in np.interp(places, biases, gains)]
    best = values.index(max(values))
    first = last = best
    while first > 0 and values[first - 1] >= values[best] - NEAR_BEST:
        first -= 1
    while last < len(values) - 1 and values[last + 1] >= values[best] - NEAR_BEST:
        last += 1
    return round((places[first] + places[last]) / 2, 2)


def _isotonic(values: Sequence[float]) -> list[float]:
    """Isotonic regression by pooling adjacent violators (PAVA): the least-squares non-decreasing fit."""
    pools: list[tuple[float, int]] = []  # mean and size
    for value in values:
        mean, size = value, 1
        while pools and pools[-1][0] >= mean:
            before, count = pools.pop()
            mean, size = (mean * size + before * count) / (size + count), size + count
        pools.append((mean, size))
    return [mean for mean, size in pools for _ in range(size)]


def _scaled(values: Sequence[float]) -> list[float]:
    """Min-max scaled to 0..1; all 0 where the range is under FLAT."""
    low, high = min(values), max(values)
    return [(value - low) / (high - low) if high - low >= FLAT else 0.0 for value in values]
