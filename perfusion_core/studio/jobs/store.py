"""What is to be done, being done and has been done, as files.

    <home>/jobs/<id>/job.json      the record, replaced atomically at each change of state
    <home>/jobs/<id>/events.jsonl  what happened, one JSON object a line, appended

A record read after a crash says what was true before it; `recover` turns "running" into "interrupted".
"""

from __future__ import annotations

import json
import os
import shutil
import time
import uuid
from pathlib import Path
from typing import Any, Literal, cast

from pydantic import BaseModel, ConfigDict, ValidationError

from perfusion_core.errors import PerfusionError
from perfusion_core.files import write_atomic

Kind = Literal["teach", "generate", "front", "grid", "acting"]
State = Literal["queued", "running", "stopping", "stopped", "interrupted", "failed", "done"]

UNFINISHED: tuple[State, ...] = ("queued", "running", "stopping")
RESUMABLE: tuple[State, ...] = ("stopped", "interrupted", "failed")

Json = dict[str, Any]


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
    """Jobs under one folder. One process writes (see `worker.owner_lock`); anyone may read."""

    def __init__(self, folder: Path) -> None:
        self.root = folder

    def folder(self, job_id: str) -> Path:
        return self.root / job_id

    def new(self, kind: Kind, title: str, request: Json) -> Job:
        number = max((job.number for job in self.all()), default=0) + 1
        job = Job(
            id=uuid.uuid4().hex[:12],
            number=number,
            kind=kind,
            title=title,
            request=request,
            created_at=time.time(),
        )
        folder = self.folder(job.id)
        try:
            folder.mkdir(parents=True)
        except OSError as error:
            raise PerfusionError(
                f"The job cannot be kept: {folder} cannot be made ({error.strerror})."
            ) from None
        return self.save(job)

    def save(self, job: Job) -> Job:
        write_atomic(self.folder(job.id) / "job.json", job.model_dump_json(indent=1).encode())
        return job

    def get(self, job_id: str) -> Job:
        """Raises `PerfusionError` when there is no such job."""
        job = self._read(self.folder(job_id)) if job_id.isalnum() else None
        if job is None:
            raise PerfusionError(f"There is no job {job_id!r}; it may have been removed.")
        return job

    def all(self) -> list[Job]:
        """Every readable job in the order of asking."""
        if not self.root.is_dir():
            return []
        jobs = [self._read(folder) for folder in self.root.iterdir()]
        return sorted((job for job in jobs if job is not None), key=lambda job: job.number)

    def remove(self, job_id: str) -> None:
        """Forget a job that is over. Raises `PerfusionError` for one that waits or runs."""
        job = self.get(job_id)
        if job.state in UNFINISHED:
            raise PerfusionError(f"“{job.title}” is {job.state}. Stop it before removing it.")
        shutil.rmtree(self.folder(job_id), ignore_errors=True)

    def recover(self) -> list[Job]:
        """After a start: what was under way when the program ended is interrupted. Returns those jobs."""
        ended = [job for job in self.all() if job.state in ("running", "stopping")]
        return [
            self.save(
                job.changed(
                    state="interrupted", finished_at=time.time(), error="The program ended meanwhile."
                )
            )
            for job in ended
        ]

    def append(self, job_id: str, event: Json) -> None:
        """Add one event. Losing the last line in a crash is harmless: readers skip a broken one."""
        line = (
            json.dumps({"time": round(time.time(), 3), **event}, ensure_ascii=False, allow_nan=False) + "\n"
        )
        path = self.folder(job_id) / "events.jsonl"
        try:
            with path.open("ab") as file:
                # A line cut off by a crash must not swallow this one.
                if file.tell() and not _ends_with_newline(path):
                    file.write(b"\n")
                file.write(line.encode())
        except OSError as error:
            raise PerfusionError(
                f"The job's events cannot be written ({error.strerror}). Free some space."
            ) from None

    def events(self, job_id: str, *, kind: str | None = None) -> list[Json]:
        """What happened so far, oldest first; only events of `kind` when given."""
        path = self.folder(job_id) / "events.jsonl"
        try:
            lines = path.read_bytes().splitlines()
        except OSError:
            return []
        found: list[Json] = []
        for line in lines:
            try:
                event: Any = json.loads(line)
            except ValueError:
                continue
            if isinstance(event, dict):
                found.append(cast("Json", event))
        return found if kind is None else [event for event in found if event.get("kind") == kind]

    def _read(self, folder: Path) -> Job | None:
        try:
            return Job.model_validate_json((folder / "job.json").read_bytes())
        except (OSError, ValidationError):
            return None


def _ends_with_newline(path: Path) -> bool:
    with path.open("rb") as file:
        file.seek(-1, os.SEEK_END)
        return file.read(1) == b"\n"
