"""How far a teaching has come, read from its files: the same for every tab, and after a restart."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from perfusion_core.studio.jobs.store import Job, JobStore


@dataclass(frozen=True)
class Point:
    """One checkpoint's scores."""

    step: int
    image: float
    text: float


@dataclass(frozen=True)
class TeachProgress:
    """One teaching as a card shows it. `losses[k]` belongs to step k + 1; `previews` maps steps to files;
    `part`: how much of the stage is done, 0 to 1, where it says so.
    """

    job: Job
    stage: str = ""
    part: float = 0.0
    step: int = 0
    total: int = 0
    seconds: float = 0.0
    eta: float | None = None
    seconds_a_step: float | None = None
    losses: dict[int, float] = field(default_factory=dict[int, float])
    scores: list[Point] = field(default_factory=list[Point])
    previews: dict[int, list[Path]] = field(default_factory=dict[int, list[Path]])
    warnings: list[str] = field(default_factory=list[str])

    @property
    def name(self) -> str:
        return str(self.job.request.get("name", "")).strip("<> ")

    @property
    def folder(self) -> Path:
        return Path(str(self.job.request.get("folder", "")))


def latest_teaching(store: JobStore) -> Job | None:
    """The teaching to show: the one under way, else the one asked for last."""
    jobs = [job for job in store.all() if job.kind == "teach"]
    running = [job for job in jobs if job.state in ("running", "stopping")]
    return (running or jobs[::-1] or [None])[0]


def teach_progress(store: JobStore, job: Job) -> TeachProgress:
    """The progress of a teaching job from its events; of a step repeated after a crash the last counts."""
    found = TeachProgress(job)
    facts: dict[str, Any] = {"stage": "", "step": 0, "total": 0, "seconds": 0.0, "eta": None}
    clock: list[tuple[int, float]] = []
    for event in store.events(job.id):
        kind = event.get("kind")
        for key in ("step", "total", "seconds"):
            if key in event:
                facts[key] = event[key]
        if "step" in event:
            facts["eta"] = event.get("eta")
        if kind == "stage":
            facts |= {"stage": str(event.get("text", "")), "part": float(event.get("part", 0.0))}
        elif kind == "step" and event.get("loss") is not None:
            found.losses[int(event["step"])] = float(event["loss"])
            clock.append((int(event["step"]), float(event["seconds"])))
        elif kind == "score":
            found.scores[:] = [p for p in found.scores if p.step < event["step"]]
            found.scores.append(Point(int(event["step"]), float(event["image"]), float(event["text"])))
        elif kind == "warning":
            found.warnings.append(str(event.get("text", "")))
        if event.get("previews"):
            found.previews[int(event["step"])] = [Path(path) for path in event["previews"]]
    return TeachProgress(
        job,
        losses=found.losses,
        scores=found.scores,
        previews=found.previews,
        warnings=list(dict.fromkeys(found.warnings)),
        seconds_a_step=_pace(clock),
        **facts,
    )


def _pace(clock: list[tuple[int, float]]) -> float | None:
    """Seconds a step takes: the median of the latest ones, so that the previews between them do not count."""
    passed = [
        after - before
        for (step, before), (following, after) in pairwise(clock[-20:])
        if following == step + 1 and after > before
    ]
    return median(passed) if passed else None


def smoothed(losses: dict[int, float], keep: float = 0.9) -> list[tuple[int, float]]:
    """The trend of the loss: a running average that starts unbiased. Pairs of step and value, in order."""
    mean, weight = 0.0, 0.0
    trend: list[tuple[int, float]] = []
    for step in sorted(losses):
        mean = keep * mean + (1 - keep) * losses[step]
        weight = keep * weight + (1 - keep)
        trend.append((step, mean / weight))
    return trend
