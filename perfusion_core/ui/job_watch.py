"""Following a job until it is over. The job does not depend on being followed."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import TYPE_CHECKING

from perfusion_core.studio.jobs.store import UNFINISHED
from perfusion_core.ui.html import escape

if TYPE_CHECKING:
    from perfusion_core.studio.app import Studio
    from perfusion_core.studio.jobs.store import Job

EVERY = 0.15  # seconds between two looks


def watch(studio: Studio, job: Job) -> Iterator[tuple[Job, str]]:
    """The job and its progress as HTML, each time that changes; the last one is the job when it is over."""
    shown = ""
    while job.state in UNFINISHED:
        now = progress(studio, job)
        if now != shown:
            shown = now
            yield job, now
        time.sleep(EVERY)
        job = studio.job(job.id)
    yield job, ""


def progress(studio: Studio, job: Job) -> str:
    """One line and a bar: where the job stands in the queue, or how far it has come."""
    if job.state == "queued":
        ahead = [other for other in studio.jobs() if other.state in ("running", "stopping")]
        before = f": “{ahead[0].title}” comes first" if ahead and ahead[0].id != job.id else ""
        return bar(0.0, f"Waiting{before}")
    if job.state == "stopping":
        return bar(1.0, "Stopping")
    steps = studio.events(job.id, kind="progress")
    if not steps:
        stages = studio.events(job.id, kind="stage")
        now = stages[-1] if stages else {}
        return bar(float(now.get("part", 0.0)), str(now.get("text", "Getting the model ready")))
    done, total = int(steps[-1].get("done", 0)), max(1, int(steps[-1].get("total", 1)))
    return bar(done / total, f"Step {done} of {total}")


def bar(part: float, words: str) -> str:
    """A progress bar with what it says under it."""
    percent = round(100 * min(1.0, max(0.0, part)))
    return (
        '<div class="progress" role="progressbar" aria-valuemin="0" aria-valuemax="100" '
        f'aria-valuenow="{percent}" '
        f'aria-label="{escape(words)}"><div class="track"><i style="width:{percent}%"></i></div>'
        f'<span class="quiet">{escape(words)}</span></div>'
    )
