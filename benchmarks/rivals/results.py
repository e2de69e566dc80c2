"""What a comparison found, ready for a report: arrays by method, no images."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from benchmarks.rivals.fronts import Front

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass
class MethodResult:
    """One method in one regime. scores[measure]: (points, concepts, seeds)."""

    name: str
    title: str
    ours: bool
    knob: str
    source: str
    settings: dict[str, Any]
    points: list[str]
    scores: dict[str, NDArray[np.float64]]
    size: int
    teach_seconds: float
    draw_seconds: float
    failed: dict[str, str] = field(default_factory=dict[str, str])

    @property
    def front(self) -> Front:
        return Front(self.scores["image"], self.scores["text"])

    @property
    def knee(self) -> int:
        return self.front.knee()

    def facts(self) -> dict[str, Any]:
        """Plain data, for results.json."""
        plain = {name: value for name, value in vars(self).items() if name != "scores"}
        return plain | {"scores": {name: values.tolist() for name, values in self.scores.items()}}


@dataclass
class PairResult:
    """Bleed of one method on pairs of one kind. Shape: bled, margin (pairs, seeds), means over prompts."""

    kind: str
    name: str
    title: str
    ours: bool
    pairs: list[str]
    bled: NDArray[np.float64]
    margin: NDArray[np.float64]

    def facts(self) -> dict[str, Any]:
        return {**vars(self), "bled": self.bled.tolist(), "margin": self.margin.tolist()}


@dataclass
class Regime:
    """One comparison of all methods: "budget", "best" or "one-shot"."""

    name: str
    title: str
    concepts: list[str]
    reference: tuple[float, float]
    plain: dict[str, float]  # the untaught base with the superclass word, by measure
    methods: list[MethodResult] = field(default_factory=list[MethodResult])


@dataclass
class Results:
    """Everything that the report says."""

    base: str
    machine: str
    command: str
    judge: str
    judge_is_independent: bool
    gallery: str
    sampling: dict[str, Any]
    prompts: list[str]
    seeds: int
    develop: list[str]
    photos: dict[str, int]
    budget: float
    resamples: int
    seed: int
    regimes: list[Regime] = field(default_factory=list[Regime])
    pairs: list[PairResult] = field(default_factory=list[PairResult])
    tuning: dict[str, list[tuple[str, float]]] = field(default_factory=dict[str, list[tuple[str, float]]])
    sheets: dict[str, str] = field(default_factory=dict[str, str])

    def facts(self) -> dict[str, Any]:
        plain = {name: value for name, value in vars(self).items() if name not in ("regimes", "pairs")}
        regimes = [{**vars(r), "methods": [m.facts() for m in r.methods]} for r in self.regimes]
        return plain | {"regimes": regimes, "pairs": [pair.facts() for pair in self.pairs]}
