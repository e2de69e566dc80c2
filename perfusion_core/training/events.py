"""The events of a training run."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from statistics import harmonic_mean
from typing import Literal, Protocol

from PIL import Image

from perfusion_core.concept import Concept

Kind = Literal["start", "step", "preview", "score", "checkpoint", "stopped", "done"]


class Stopped(Exception):  # noqa: N818 - not an error
    """Raised by a `Score` or `Preview` that was asked to stop: training then stops there."""


class ScoreLike(Protocol):
    """Mean similarity to the photos and to the prompts, as `perfusion_core.evaluation.Scores` has it."""

    @property
    def image(self) -> float: ...
    @property
    def text(self) -> float: ...


Score = Callable[[Concept, int], ScoreLike]
Preview = Callable[[Concept, int], Sequence[Image.Image]]


@dataclass(frozen=True)
class Scored:
    """One checkpoint's scores; `harmonic` is what the choice goes by."""

    step: int
    image: float
    text: float

    def facts(self) -> dict[str, float]:
        """As a concept file keeps them."""
        return {"image": self.image, "text": self.text, "step": float(self.step)}

    @property
    def harmonic(self) -> float:
        """The harmonic mean; 0 when a score is not positive: no checkpoint wins by one score alone."""
        return harmonic_mean((max(0.0, self.image), max(0.0, self.text)))


@dataclass
class History:
    """What a screen needs to show a run: the loss of every step so far and every score."""

    losses: list[float] = field(default_factory=list[float])
    scores: list[Scored] = field(default_factory=list[Scored])

    def copy(self) -> History:
        return History(list(self.losses), list(self.scores))


@dataclass(frozen=True)
class TrainEvent:
    """One thing that happened.

    step of total optimizer steps are done; `seconds` were spent on the run so far, over all resumes, and
    about `eta` are left (None: not known yet). `loss` is this step's, or the last known. "start" carries
    the history (not empty when resumed), "preview" images, "score" scores, "checkpoint" the concept of that
    step, "done" the chosen concept and its step in `best_step`.
    """

    kind: Kind
    step: int
    total: int
    loss: float | None = None
    seconds: float = 0.0
    eta: float | None = None
    images: tuple[Image.Image, ...] = ()
    scores: Scored | None = None
    concept: Concept | None = None
    best_step: int | None = None
    history: History | None = None
