"""One thread owns the device and does one job after another; everyone else asks and looks.

A job belongs to no browser tab: it is a record on disk, and this thread is the only one that works on it.
"""

from __future__ import annotations

import gc
import sys
import threading
import time
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from perfusion_core.errors import PerfusionError
from perfusion_core.files import write_atomic
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
    """What a handler may know and do while its job runs."""

    job: Job
    folder: Path
    emit: Callable[[Json], None]
    should_stop: Callable[[], bool]

    @property
    def resuming(self) -> bool:
        return self.job.attempt > 1


Handler = Callable[[JobContext], Json]
"""Does the job and returns its result (paths and numbers). Raises `JobStopped` or `PerfusionError`."""


def owner_lock(home: Path) -> FileLock:
    """Make this process the only one that works in `home`. Raises `PerfusionError` when another one does."""
    from filelock import FileLock, Timeout

    try:
        home.mkdir(parents=True, exist_ok=True)
        lock = FileLock(home / "studio.lock")
        lock.acquire(timeout=0)  # pyright: ignore[reportUnknownMemberType]
    except Timeout:
        raise PerfusionError(
            f"Another Perfusion Studio is already working in {home}. Use that one, close it, or start this "
            "one "
            "with PERFUSION_HOME set to another folder."
        ) from None
    except OSError as error:
        raise PerfusionError(
            f"The data folder {home} cannot be used ({error.strerror}). Set PERFUSION_HOME to a folder that "
            "can."
        ) from None
    return lock


class Worker:
    """The queue and the thread behind it."""

    def __init__(self, store: JobStore, handlers: Mapping[Kind, Handler]) -> None:
        self.store = store
        self._handlers = dict(handlers)
        self._wake = threading.Condition()
        self._stop_current = threading.Event()
        self._closing = False
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Recover what an earlier process left behind and begin to work."""
        self.store.recover()
        self._thread = threading.Thread(target=self._work, name="perfusion-worker", daemon=True)
        self._thread.start()

    def submit(self, kind: Kind, title: str, request: Json) -> Job:
        with self._wake:
            job = self.store.new(kind, title, request)
            self._wake.notify_all()
        return job

    def stop(self, job_id: str) -> Job:
        """Ask a job to stop: a queued one at once, the running one at its next step."""
        with self._wake:
            job = self.store.get(job_id)
            if job.state == "queued":
                return self.store.save(job.changed(state="stopped", finished_at=time.time()))
            if job.state == "running":
                self._stop_current.set()
                return self.store.save(job.changed(state="stopping"))
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
            self._wake.wait_for(lambda: self.store.get(job_id).state not in UNFINISHED, timeout)
        return self.store.get(job_id)

    def close(self, timeout: float = PATIENCE) -> None:
        """Stop working. The running job stops at its next step and is interrupted, so that it can be resumed.

        One that does not come to a step in `timeout` seconds (a model is being read) is left behind.
        """
        with self._wake:
            self._closing = True
            self._stop_current.set()
            self._wake.notify_all()
        if self._thread is not None:
            self._thread.join(timeout)
            if self._thread.is_alive():
                self.store.recover()

    def _work(self) -> None:
        while True:
            with self._wake:
                job = self._next()
                while job is None and not self._closing:
                    self._wake.wait()
                    job = self._next()
                if self._closing or job is None:
                    return
                self._stop_current.clear()
                job = self.store.save(job.changed(state="running", started_at=time.time()))
            self._run(job)

    def _next(self) -> Job | None:
        return next((job for job in self.store.all() if job.state == "queued"), None)

    def _run(self, job: Job) -> None:
        context = JobContext(
            job,
            self.store.folder(job.id),
            emit=lambda event: self.store.append(job.id, event),
            should_stop=self._stop_current.is_set,
        )
        result: Json = {}
        error: str | None = None
        state: State = "done"
        try:
            result = self._handlers[job.kind](context)
        except JobStopped as stopped:
            state, result = ("interrupted" if self._closing else "stopped"), stopped.result
        except PerfusionError as failure:
            state, error = "failed", str(failure)
        except Exception as failure:  # the thread must outlive any job; the whole story goes to a file
            state, error = "failed", self._explain(job, failure)
        finished = job.changed(state=state, result=result, error=error, finished_at=time.time())
        with self._wake:
            self._save_or_warn(finished)
            self._wake.notify_all()
        _free_memory()

    def _explain(self, job: Job, failure: Exception) -> str:
        story = traceback.format_exc()
        if isinstance(failure, MemoryError) or "out of memory" in str(failure).lower():
            return "The memory was not enough. Make fewer or smaller images, or a lower batch size."
        log = self.store.folder(job.id) / "error.txt"
        try:
            write_atomic(log, story.encode())
        except PerfusionError:
            sys.stderr.write(story)
        return f"Something unexpected went wrong ({type(failure).__name__}: {failure}). Details are in {log}."

    def _save_or_warn(self, job: Job) -> None:
        try:
            self.store.save(job)
        except (
            PerfusionError
        ) as failure:  # a full disk: after a restart the job is interrupted, which is true
            sys.stderr.write(f"{failure}\n")


def _free_memory() -> None:
    gc.collect()
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_available():
        torch.cuda.empty_cache()
