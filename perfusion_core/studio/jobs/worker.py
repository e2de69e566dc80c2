"""One thread owns the device and does one job after another; all other threads submit jobs and read records.

A job belongs to no browser tab: it is a record on disk, and this thread is the only one that works on it.
"""

from __future__ import annotations

import sys
import threading
import time
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from perfusion_core.errors import PerfusionError, first_line
from perfusion_core.files import make_folder, write_atomic
from perfusion_core.printable import printable
from perfusion_core.studio.jobs.store import UNFINISHED, Job, JobStore, Json, Kind, State

if TYPE_CHECKING:
    from filelock import FileLock


PATIENCE = 10.0  # seconds


class JobStopped(Exception):  # noqa: N818 - not an error
    """Raised by a handler that stopped because it was asked to. `result` is what it finished before."""

    def __init__(self, result: Json | None = None) -> None:
        super().__init__("stopped")
        self.result: Json = result or {}


@dataclass(frozen=True)
class JobContext:
    """What a handler may know and do while its job runs. `emit` never fails: a lost event loses no work.
    `closing`: it should stop because the program ends, not because a person no longer wants it.
    """

    job: Job
    folder: Path
    emit: Callable[[Json], None]
    should_stop: Callable[[], bool]
    closing: Callable[[], bool]


Handler = Callable[[JobContext], Json]
"""Does the job and returns its result (paths and numbers). Raises `JobStopped` or `PerfusionError`."""


def owner_lock(
    home: Path,
    taken: str = "Another Perfusion Studio is already working in {home}. Use that one, close it, or start "
    "this one with PERFUSION_HOME set to another folder.",
) -> FileLock:
    """Lock `home` for this process. Raises `PerfusionError`, with the text `taken` when another holds it."""
    from filelock import FileLock, Timeout

    make_folder(home, "Set PERFUSION_HOME to one that can.", private=True)
    try:
        lock = FileLock(home / "studio.lock")
        lock.acquire(timeout=0)  # pyright: ignore[reportUnknownMemberType]
    except Timeout:
        raise PerfusionError(taken.format(home=home)) from None
    except OSError as error:
        raise PerfusionError(
            f"The data folder {home} cannot be used ({error.strerror}). Set PERFUSION_HOME to a folder that "
            "can."
        ) from None
    return lock


@dataclass
class _Current:
    """The job that the thread is working on. `abandoned`: `close` timed out waiting for it."""

    id: str
    stop: threading.Event = field(default_factory=threading.Event)
    abandoned: bool = False


class Worker:
    """The job queue and its one thread. The running job is held in memory, never read from the disk."""

    def __init__(self, store: JobStore, handlers: Mapping[Kind, Handler]) -> None:
        self.store = store
        self._handlers = dict(handlers)
        self._wake = threading.Condition()
        self._current: _Current | None = None
        self._closing = False
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Recover what an earlier process left behind and begin to work, also again after `close`."""
        with self._wake:
            self._closing = False
            self.store.own()
            self.store.recover()
            self.store.prune()
            if self._thread is None:  # else an earlier thread is still at its job, and goes on
                self._thread = threading.Thread(target=self._work, name="perfusion-worker", daemon=True)
                self._thread.start()

    def submit(self, kind: Kind, title: str, request: Json, *, recorded: bool = True) -> Job:
        """Queue a job; see `JobStore.new`. Raises `PerfusionError` when it cannot be recorded."""
        with self._wake:
            job = self.store.new(kind, title, request, recorded=recorded)
            self._wake.notify_all()
        return job

    def stop(self, job_id: str) -> Job:
        """Ask a job to stop: a queued one at once, the running one at its next step."""
        with self._wake:
            job = self.store.get(job_id)
            if self._is_running(job_id):
                assert self._current is not None
                self._current.stop.set()
                job = self.store.keep(job.changed(state="stopping"))
            elif job.state in UNFINISHED:  # one that is not running cannot be "running": a lost record
                state = "stopped" if job.state == "queued" else "interrupted"
                job = self.store.keep(job.changed(state=state, finished_at=time.time()))
            self._wake.notify_all()
        return job

    def resume(self, job_id: str) -> Job:
        """Queue a stopped, interrupted or failed job again. Raises `PerfusionError` for any other."""
        with self._wake:
            job = self.store.get(job_id)
            if not job.resumable:
                raise PerfusionError(
                    f"“{job.title}” is {job.state}; only a stopped or interrupted job can be resumed."
                )
            again = job.changed(state="queued", attempt=job.attempt + 1, error=None, finished_at=None)
            self.store.save(again)
            self._wake.notify_all()
        return again

    def position(self, job_id: str) -> int:
        """How many jobs come before this one; 0 for one that runs or is over."""
        waiting = [job for job in self.store.all() if job.state in UNFINISHED]
        waiting.sort(key=lambda job: (job.state == "queued", job.number))
        return next((k for k, job in enumerate(waiting) if job.id == job_id), 0)

    def wait(self, job_id: str, timeout: float | None = None) -> Job:
        """Block until a job is over (or `timeout` seconds have passed) and return it."""
        with self._wake:
            self._wake.wait_for(lambda: self._is_over(job_id), timeout)
            return self.store.get(job_id)

    def close(self, timeout: float = PATIENCE) -> None:
        """Stop working. The running job stops at its next step and is interrupted, so that it can be resumed.

        One that does not come to a step in `timeout` seconds (a model is being read) is left behind.
        """
        with self._wake:
            self._closing = True
            if self._current is not None:
                self._current.stop.set()
            self._wake.notify_all()
            thread = self._thread
        if thread is not None:
            thread.join(timeout)
        with self._wake:
            if self._current is not None:
                self._current.abandoned = True
            if self.store.owned:
                self.store.recover()
                self.store.disown()

    def _is_running(self, job_id: str) -> bool:
        return self._current is not None and self._current.id == job_id and not self._current.abandoned

    def _is_over(self, job_id: str) -> bool:
        state = self.store.get(job_id).state
        return state not in UNFINISHED or (state != "queued" and not self._is_running(job_id))

    def _work(self) -> None:
        while (taken := self._take()) is not None:
            job, current = taken
            # A slider waits for the next picture, and this one loaded nothing: collecting only delays it.
            live = job.kind == "generate" and self.store.is_passing(job.id)
            try:
                self._run(job, current)
            except BaseException:  # the thread must outlive anything that one job does
                sys.stderr.write(traceback.format_exc())
            if not live:
                _free_memory()

    def _take(self) -> tuple[Job, _Current] | None:
        """The next job, now running; None when the thread is to end."""
        with self._wake:
            while not self._closing:
                job = next((job for job in self.store.all() if job.state == "queued"), None)
                if job is not None:
                    self._current = _Current(job.id)
                    job = self.store.keep(job.changed(state="running", started_at=time.time()))
                    return job, self._current
                self._wake.wait()
            self._thread = None
            return None

    def _run(self, job: Job, current: _Current) -> None:
        ended = job.changed(
            state="failed", result={}, error="Something unexpected went wrong; the terminal says what."
        )
        try:
            ended = self._ended(job, current)
        finally:
            with self._wake:
                try:
                    if not current.abandoned:
                        self.store.keep(ended.changed(finished_at=time.time()))
                        self.store.prune()
                finally:  # whatever happened: others wait for this job, and the next one for its turn
                    self._current = None
                    self._wake.notify_all()

    def _ended(self, job: Job, current: _Current) -> Job:
        """Have a job done; returns it as it ended, whatever its handler raises."""

        def emit(event: Json) -> None:
            try:
                if not current.abandoned:
                    self.store.append(job.id, event)
            except Exception as failure:
                sys.stderr.write(f"{printable(str(failure))}\n")

        folder = self.store.folder(job.id)
        context = JobContext(job, folder, emit, current.stop.is_set, lambda: self._closing)
        result: Json = {}
        error: str | None = None
        state: State = "done"
        try:
            result = self._handlers[job.kind](context)
        except JobStopped as stopped:
            state, result = ("interrupted" if self._closing else "stopped"), stopped.result
        except PerfusionError as failure:
            state, error = "failed", printable(str(failure))
        except BaseException as failure:
            state, error = "failed", self._explain(job, failure)
        return job.changed(state=state, result=result, error=error)

    def _explain(self, job: Job, failure: BaseException) -> str:
        from perfusion_core.model.device_memory import is_out_of_memory

        story = traceback.format_exc()
        if is_out_of_memory(failure):
            return (
                "The memory was not enough. Make fewer or smaller images, or lower the batch size, and "
                "resume."
            )
        log = self.store.folder(job.id) / "error.txt"
        try:
            write_atomic(log, story.encode(errors="backslashreplace"), private=True)
        except PerfusionError:
            sys.stderr.write(story)
        said = f"{type(failure).__name__}: {first_line(failure)}"
        return f"Something unexpected went wrong ({said}). Details are in {printable(str(log))}."


def _free_memory() -> None:
    if "torch" in sys.modules:  # else there is nothing to give back, and loading it would take seconds
        from perfusion_core.model.device_memory import release_memory

        release_memory()
