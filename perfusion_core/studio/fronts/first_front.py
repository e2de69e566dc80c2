"""The front generated right after training, so that the concept's bias can be chosen."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from perfusion_core.sampling.operating_points import front_biases
from perfusion_core.studio.jobs.store import Job, Json

if TYPE_CHECKING:
    from collections.abc import Callable

    from perfusion_core.studio.bases import LoadedBase
    from perfusion_core.studio.library.library import Library

STAGE = "Drawing the front"  # what a teaching says then
POINTS = 7
PROMPT = "a photo of <{}> on the beach"


def first_front(
    library: Library,
    loaded: LoadedBase,
    name: str,
    folder: Path,
    *,
    on_step: Callable[[int, int], None] | None = None,
    should_stop: Callable[[], bool] | None = None,
) -> Json:
    """Generate and score the front of `name` into `folder`.

    Returns what was asked and what came of it, as a front job has them. Raises `PerfusionError`.
    """
    from perfusion_core.sampling.request import GenerationRequest
    from perfusion_core.studio.fronts.front import make_front

    request = GenerationRequest(PROMPT.format(name))
    biases = front_biases(POINTS)
    made = make_front(
        library, loaded, request, name, biases, folder, on_step=on_step, should_stop=should_stop
    )
    return {"request": {"request": asdict(request), "name": name}, "result": made.facts()}


def as_front(job: Job) -> Job | None:
    """A job as a front job: itself, or the front that a teaching ended with; None when there is none."""
    if job.kind in ("front", "grid"):
        return job if job.result.get("paths") else None
    kept = job.result.get("front")
    if job.kind != "teach" or not kept:
        return None
    return job.changed(kind="front", request=kept["request"], result=kept["result"])
