"""One picture at once for a slider that is being dragged: asked like any job, and forgotten afterwards."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from perfusion_core.errors import PerfusionError
from perfusion_core.studio.jobs.store import UNFINISHED

if TYPE_CHECKING:
    from perfusion_core.sampling.request import GenerationRequest
    from perfusion_core.studio.app import Studio
    from perfusion_core.studio.jobs.store import Job

FOLDER = "live-pictures"
KEPT = 24  # pictures; the rest of the folder is cleared


@dataclass(frozen=True)
class Busy:
    """Something else is being worked on; `title` says what."""

    title: str


def is_live(job: Job) -> bool:
    """Whether a job is one of these, which no list shows."""
    return Path(str(job.request.get("out", ""))).name == FOLDER


def render_live(studio: Studio, request: GenerationRequest, timeout: float = 60.0) -> Path | Busy:
    """The picture of `request`, or `Busy` when it would have to wait. Raises `PerfusionError`."""
    for other in studio.jobs():
        if other.state in UNFINISHED and not is_live(other):
            return Busy(other.title)
    folder = studio.settings.cache_folder / FOLDER
    job = studio.submit_generate(request, out=folder)
    job = studio.wait(job.id, timeout)
    if job.state in UNFINISHED:
        studio.stop(job.id)
        return Busy(job.title)
    studio.forget(job.id)
    if job.state != "done" or not job.result.get("paths"):
        raise PerfusionError(
            job.error or "The picture was stopped before it was finished. Move the slider again."
        )
    _clear(folder)
    return Path(job.result["paths"][0])


def _clear(folder: Path) -> None:
    pictures = sorted(folder.rglob("*.png"), key=lambda path: path.stat().st_mtime)
    for path in pictures[:-KEPT]:
        path.unlink(missing_ok=True)
