"""Fronts of image and text similarity: hypervolume, dominance, and how sure they are (bootstrap)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from perfusion_core.evaluation import FrontPoint, hypervolume, knee, monotonicity, pareto

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Scores = NDArray[np.float64]  # (points, concepts, seeds)


@dataclass(frozen=True)
class Interval:
    """A figure and the bounds between which 95 % of the resampled ones lie; NaN where nothing can vary."""

    value: float
    low: float
    high: float

    def apart(self, other: Interval) -> bool:
        """Whether the two intervals do not overlap."""
        return self.low > other.high or self.high < other.low


@dataclass(frozen=True)
class Front:
    """A method's scores at its operating points. Shape: image, text (points, concepts, seeds)."""

    image: Scores
    text: Scores

    def points(
        self, concepts: NDArray[np.int_] | None = None, seeds: NDArray[np.int_] | None = None
    ) -> list[FrontPoint]:
        """The means over concepts and seeds (or those picked, some several times), by number of point."""
        images, texts = (
            _picked(values, concepts, seeds).mean(axis=(1, 2)) for values in (self.image, self.text)
        )
        return [
            FrontPoint(float(k), float(i), float(t))
            for k, (i, t) in enumerate(zip(images, texts, strict=True))
        ]

    def steadiness(self) -> tuple[float, float]:
        """How steadily the knob moves image similarity up and text similarity down, on the worst concept.

        Kendall's tau over the operating points, means over seeds; 1 when every pair is in order.
        """
        taus = [
            monotonicity(
                [
                    FrontPoint(-float(k), float(i), float(t))
                    for k, (i, t) in enumerate(zip(images, texts, strict=True))
                ]
            )
            for images, texts in zip(self.image.mean(axis=2).T, self.text.mean(axis=2).T, strict=True)
        ]
        return min(tau[0] for tau in taus), min(tau[1] for tau in taus)

    def knee(self) -> int:
        """The number of the operating point at the knee."""
        return int(knee(self.points()).bias)


def dominated_share(ours: Sequence[FrontPoint], theirs: Sequence[FrontPoint]) -> float:
    """The share of their Pareto front's points that one of ours is better than, in one score or both."""
    front = pareto(theirs)
    beaten = [
        any(
            our.image >= point.image
            and our.text >= point.text
            and (our.image, our.text) != (point.image, point.text)
            for our in ours
        )
        for point in front
    ]
    return sum(beaten) / len(front)


def resamples(
    concepts: int, seeds: int, count: int, seed: int = 0
) -> list[tuple[NDArray[np.int_], NDArray[np.int_]]]:
    """`count` draws with replacement of concepts and, apart, of seeds; the same for every method."""
    rng = np.random.default_rng(seed)
    return [(rng.integers(0, concepts, concepts), rng.integers(0, seeds, seeds)) for _ in range(count)]


def interval(
    statistic: Callable[[NDArray[np.int_] | None, NDArray[np.int_] | None], float],
    drawn: Sequence[tuple[NDArray[np.int_], NDArray[np.int_]]],
) -> Interval:
    """A statistic of all concepts and seeds, and its percentile interval over the resamples.

    `statistic` takes the numbers of concepts and of seeds to use, None for all.
    """
    values = [statistic(concepts, seeds) for concepts, seeds in drawn]
    known = [value for value in values if not np.isnan(value)]
    varied = any(len(concepts) > 1 or len(seeds) > 1 for concepts, seeds in drawn)
    low, high = np.nan, np.nan
    if known and varied:
        low, high = np.percentile(known, [2.5, 97.5], method="inverted_cdf")
    return Interval(statistic(None, None), float(low), float(high))


def hypervolume_interval(
    front: Front, reference: tuple[float, float], drawn: Sequence[tuple[NDArray[np.int_], NDArray[np.int_]]]
) -> Interval:
    """Hypervolume of the front of means above `reference` = (image, text)."""
    return interval(lambda c, s: hypervolume(front.points(c, s), reference), drawn)


def ratio_interval(
    ours: Front,
    theirs: Front,
    reference: tuple[float, float],
    drawn: Sequence[tuple[NDArray[np.int_], NDArray[np.int_]]],
) -> Interval:
    """Our hypervolume over theirs, both from the same concepts and seeds. Infinite where theirs is 0."""

    def ratio(concepts: NDArray[np.int_] | None, seeds: NDArray[np.int_] | None) -> float:
        mine, other = (hypervolume(front.points(concepts, seeds), reference) for front in (ours, theirs))
        if other == 0:
            return float("nan") if mine == 0 else float("inf")
        return mine / other

    return interval(ratio, drawn)


def mean_interval(values: Scores, drawn: Sequence[tuple[NDArray[np.int_], NDArray[np.int_]]]) -> Interval:
    """The mean of one measure at one point, NaN left out. Shape: values (concepts, seeds)."""

    def mean(concepts: NDArray[np.int_] | None, seeds: NDArray[np.int_] | None) -> float:
        picked = _picked(values[None], concepts, seeds)
        kept = picked[~np.isnan(picked)]
        return float(kept.mean()) if len(kept) else float("nan")

    return interval(mean, drawn)


def _picked(values: Scores, concepts: NDArray[np.int_] | None, seeds: NDArray[np.int_] | None) -> Scores:
    chosen = values if concepts is None else values[:, concepts]
    return chosen if seeds is None else chosen[:, :, seeds]
