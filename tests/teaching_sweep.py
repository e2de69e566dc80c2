"""A disk that refuses one call of a whole teaching, run as a job: see `fault_sweep.py`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast
from unittest import mock

import numpy as np

from perfusion_core.concept import Concept
from perfusion_core.studio.fronts import first_front
from perfusion_core.studio.jobs.handlers import handlers
from perfusion_core.studio.jobs.store import Job, JobStore
from perfusion_core.studio.jobs.worker import Worker
from perfusion_core.studio.library.entry import scan
from perfusion_core.studio.library.library import Library
from perfusion_core.studio.teaching.run import TeachRequest, begin_teaching
from perfusion_core.studio.teaching.run_folder import RunFolder
from tests.fault_sweep import PATIENCE, Scenario, again

# The shortest teaching that has all a teaching has: two checkpoints that are scored and shown.
SHORTEST: dict[str, str | int | float | bool] = {
    "steps": 2,
    "checkpoint_every": 1,
    "batch_size": 1,
    "validation_steps": 1,
    "validation_prompts": "a photo of {}",
}


class _Bases:
    """Has one base in memory."""

    def __init__(self, loaded: Any) -> None:
        self._loaded = loaded

    def get(self, reference: str | None = None, loras: Any = ()) -> Any:
        return self._loaded


def teaching_scenario(loaded: Any, photos: Sequence[Path], old: Concept, expected: list[str]) -> Scenario:
    """A teaching in place of the concept `old`, up to its front, resumed by a new process after a failure.

    Of two photos one has a square and a mask made by hand. Every run has to come to one and the same concept;
    `expected` is filled by the first.
    """
    mask = np.zeros((80, 80), dtype=np.float32)
    mask[20:60, 20:60] = 1.0

    @mock.patch.object(first_front, "POINTS", 2)  # more of them write nothing else
    def scenario(folder: Path) -> None:
        library = Library(folder / "home")
        again(lambda: library.add(old, overwrite=True))
        asked = TeachRequest(
            photos,
            old.name,
            "dog",
            masks=[mask, None],
            crops=[(0, 0, 80, 80), None],
            settings=SHORTEST,
            overwrite=True,
        )
        run = again(lambda: begin_teaching(library, asked))
        done = _taught(loaded, folder / "home", run)
        assert (done.state, done.result.get("concept")) == ("done", old.name), done

        assert library.damaged() == library.unfinished() == []
        (entry,) = library.entries()
        found = entry.load().content_hash
        expected[:] = expected or [found]
        assert (entry.folder, entry.name, found) == (run, old.name, expected[0])
        thrown = {one.load().content_hash for one, _ in scan(library.trash) if one is not None}
        assert thrown == {old.content_hash}
        squares, masks = RunFolder(run).squares()
        assert len(squares) == len(masks) == 2
        kept = JobStore(folder / "home" / "jobs").get(done.id)
        assert kept.state == "done"
        if done.result["front"] is None:
            assert any("front" in event["text"] for event in _warnings(folder, done))

    return scenario


def _taught(loaded: Any, home: Path, run: Path) -> Job:
    """The teaching's job when it is over; where it failed, another process resumes it."""
    request = {"base": "tiny", "folder": str(run)}
    worker = _worker(loaded, home)
    try:
        job = again(lambda: worker.submit("teach", "Teach", request))
        done = worker.wait(job.id, PATIENCE)
    finally:
        worker.close()
    if done.state == "done":
        return done
    worker = _worker(loaded, home)
    try:
        assert worker.store.get(job.id).resumable, worker.store.get(job.id)
        worker.resume(job.id)
        return worker.wait(job.id, PATIENCE)
    finally:
        worker.close()


def _worker(loaded: Any, home: Path) -> Worker:
    store = JobStore(home / "jobs")
    worker = Worker(store, handlers(Library(home), cast("Any", _Bases(loaded))))
    worker.start()
    return worker


def _warnings(folder: Path, job: Job) -> list[dict[str, Any]]:
    return JobStore(folder / "home" / "jobs").events(job.id, kind="warning")
