"""Job records and their events, as files.

    <home>/jobs/<id>/job.json      the record, replaced atomically at each change of state
    <home>/jobs/<id>/events.jsonl  what happened, one JSON object a line, appended

A record read after a crash says what was true before it; `recover` turns "running" into "interrupted".
"""

from __future__ import annotations

import json
import sys
import threading
import time
import uuid
from contextlib import suppress
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from perfusion_core.errors import PerfusionError, first_line
from perfusion_core.files import append_line, make_folder, remove_folder, write_atomic
from perfusion_core.printable import printable
from perfusion_core.studio.jobs.event_log import EventLog

Kind = Literal["teach", "generate", "front", "grid", "acting", "load"]
State = Literal["queued", "running", "stopping", "stopped", "interrupted", "failed", "done"]

UNFINISHED: tuple[State, ...] = ("queued", "running", "stopping")
RESUMABLE: tuple[State, ...] = ("stopped", "interrupted", "failed")
HISTORY = 300  # finished jobs that are kept
REMEMBERED = 32  # finished jobs without a record that can still be asked for

Json = dict[str, Any]


class UnwritableError(PerfusionError):
    """What a job asks for, or has come to, cannot be written as JSON. Trying again does not help."""


class Job(BaseModel):
    """One job as it is on disk. Times are seconds since the epoch."""

    model_config = ConfigDict(strict=True, frozen=True, extra="forbid")

    id: str
    number: int  # the order of asking; times can jump, this cannot
    kind: Kind
    title: str
    request: Json
    state: State = "queued"
    attempt: int = 1
    created_at: float
    started_at: float | None = None
    finished_at: float | None = None
    error: str | None = None
    result: Json = {}

    @property
    def resumable(self) -> bool:
        return self.state in RESUMABLE

    def changed(self, **changes: Any) -> Job:
        return self.model_copy(update=changes)


class JobStore:
    """Jobs under one folder. Safe to use from several threads.

    One process writes: the one that holds `worker.owner_lock` and has called `own`. It reads every record
    once and answers from memory from then on, and its memory is what counts where the disk refuses a write.
    Any other process may read, each time from the disk.
    """

    def __init__(self, folder: Path) -> None:
        self.root = folder
        self._lock = threading.RLock()
        self._records: dict[str, Job] | None = None  # None: not owned
        self._passing: dict[str, Job] = {}  # jobs without a record
        self._unsaved: set[str] = set()  # jobs whose last change is in memory only
        self._listed: list[Job] | None = None
        self._log = EventLog()

    def own(self) -> None:
        """Read all records once; from now on this object is the only one that changes them."""
        with self._lock:
            self._records = {job.id: job for job in self._read_all()}
            self._listed = None

    @property
    def owned(self) -> bool:
        return self._records is not None

    def disown(self) -> None:
        """Leave the records to whoever owns them next."""
        with self._lock:
            self._save_the_unsaved()
            self._records, self._listed = None, None
            self._unsaved.clear()

    def folder(self, job_id: str) -> Path:
        return self.root / job_id

    def new(self, kind: Kind, title: str, request: Json, *, recorded: bool = True) -> Job:
        """A queued job. Without `recorded` it is in memory only, listed until it is over, and gone with the
        program. Raises `PerfusionError` when the record cannot be written; then there is no job, whatever
        the reason.
        """
        with self._lock:
            job = Job(
                id=uuid.uuid4().hex[:12],
                number=max((job.number for job in self.all()), default=0) + 1,
                kind=kind,
                title=title,
                request=request,
                created_at=time.time(),
            )
            if not recorded:
                self._passing[job.id] = job
                self._listed = None
                return job
            folder = self.folder(job.id)
            try:
                make_folder(folder, "The job was not started.", private=True)
                return self.save(job)
            except BaseException:
                remove_folder(folder)
                raise

    def is_passing(self, job_id: str) -> bool:
        """Whether a job is in memory only."""
        with self._lock:
            return job_id in self._passing

    def save(self, job: Job) -> Job:
        """Write a changed job to the disk, and only then take the change over. Raises `PerfusionError`."""
        with self._lock:
            if job.id not in self._passing:
                write_atomic(self.folder(job.id) / "job.json", _content(job), private=True)
                self._unsaved.discard(job.id)
            return self._take_over(job)

    def keep(self, job: Job) -> Job:
        """Take a change over that has happened, whatever the disk says; it is written as soon as that works.

        If the program ends before, the record tells an older truth: a finished job is then interrupted. A job
        whose result cannot be written has failed, and the result is left out. Returns the job as it is kept.
        """
        with self._lock:
            try:
                self.save(job)
            except PerfusionError as failure:
                sys.stderr.write(f"{failure}\n")
                if isinstance(failure, UnwritableError) and job.result:
                    return self.keep(job.changed(state="failed", result={}, error=str(failure)))
                self._unsaved.add(job.id)
                return self._take_over(job)
            self._save_the_unsaved()
            return job

    def get(self, job_id: str) -> Job:
        """Raises `PerfusionError` when there is no such job."""
        with self._lock:
            job = self._passing.get(job_id)
            if job is None and self._records is not None:
                job = self._records.get(job_id)
            elif job is None and job_id.isalnum():
                job = self._read(self.folder(job_id))
        if job is None:
            raise PerfusionError(f"There is no job {job_id!r}; it may have been removed.")
        return job

    def all(self) -> list[Job]:
        """Every readable job in the order of asking. In the owning process this touches no file."""
        with self._lock:
            if self._listed is not None:
                return list(self._listed)
            recorded = self._read_all() if self._records is None else self._records.values()
            passing = [job for job in self._passing.values() if job.state in UNFINISHED]
            listed = sorted((*recorded, *passing), key=lambda job: job.number)
            if self._records is not None:
                self._listed = listed
            return list(listed)

    def remove(self, job_id: str) -> None:
        """Forget a job that is over. Raises `PerfusionError` for one that waits or runs."""
        with self._lock:
            job = self.get(job_id)
            if job.state in UNFINISHED:
                raise PerfusionError(f"“{job.title}” is {job.state}. Stop it before removing it.")
            self._forget(job_id)

    def prune(self, keep: int = HISTORY) -> None:
        """Forget all but the `keep` newest finished jobs. Teachings that can be resumed always stay."""
        with self._lock:
            over = [
                job
                for job in self.all()
                if job.state not in UNFINISHED and not (job.kind == "teach" and job.resumable)
            ]
            for job in over[: max(0, len(over) - keep)]:
                self._forget(job.id)

    def recover(self) -> list[Job]:
        """After a start: what was under way when the program ended is interrupted. Returns those jobs."""
        with self._lock:
            ended = [job for job in self.all() if job.state in ("running", "stopping")]
            return [
                self.keep(
                    job.changed(
                        state="interrupted", finished_at=time.time(), error="The program ended meanwhile."
                    )
                )
                for job in ended
            ]

    def append(self, job_id: str, event: Json) -> None:
        """Add one event. Losing the last line in a crash is harmless: readers skip a broken one.

        Raises `PerfusionError`. A job without a record keeps no events.
        """
        if job_id in self._passing:
            return
        stamped = {"time": round(time.time(), 3), **event}
        try:
            line = json.dumps(stamped, ensure_ascii=False, allow_nan=False).encode()
        except (ValueError, TypeError, RecursionError) as problem:
            raise UnwritableError(f"An event was left out: {first_line(problem)}.") from problem
        append_line(self.folder(job_id) / "events.jsonl", line)

    def events(self, job_id: str, *, kind: str | None = None) -> list[Json]:
        """What happened so far, oldest first; only events of `kind` when given."""
        with self._lock:
            found = self._log.read(self.folder(job_id) / "events.jsonl")
        return found if kind is None else [event for event in found if event.get("kind") == kind]

    def _take_over(self, job: Job) -> Job:
        if job.id in self._passing:
            self._passing[job.id] = job
            over = [id_ for id_, passed in self._passing.items() if passed.state not in UNFINISHED]
            for id_ in over[:-REMEMBERED]:
                del self._passing[id_]
        elif self._records is not None:
            self._records[job.id] = job
        self._listed = None
        return job

    def _save_the_unsaved(self) -> None:
        for job_id in list(self._unsaved):
            with suppress(PerfusionError):  # the disk is still full: next time
                self.save(self.get(job_id))

    def _forget(self, job_id: str) -> None:
        self._passing.pop(job_id, None)
        if self._records is not None:
            self._records.pop(job_id, None)
        self._unsaved.discard(job_id)
        self._listed = None
        remove_folder(self.folder(job_id))

    def _read_all(self) -> list[Job]:
        if not self.root.is_dir():
            return []
        return [job for folder in self.root.iterdir() if (job := self._read(folder)) is not None]

    def _read(self, folder: Path) -> Job | None:
        try:
            return Job.model_validate_json((folder / "job.json").read_bytes())
        except (OSError, ValidationError):
            return None


def _content(job: Job) -> bytes:
    try:
        return job.model_dump_json(indent=1).encode()
    except ValueError as problem:  # among others half a character, as in file names that are no UTF-8
        raise UnwritableError(
            f"“{printable(job.title)}” cannot be recorded ({first_line(problem)}). Give the files and "
            "folders that it uses names of whole characters, and try again."
        ) from problem
