"""Jobs on a disk that fills up, and what must be known without asking the disk."""

from __future__ import annotations

import errno
import os
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from perfusion_core import files
from perfusion_core.errors import PerfusionError
from perfusion_core.studio.jobs.store import HISTORY, JobStore, Json
from perfusion_core.studio.jobs.worker import JobContext, JobStopped, Worker


class Disk:
    """A disk that can be full: every write of a file then fails."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.full = False
        real = os.fdopen

        def fdopen(handle: int, *arguments: Any, **options: Any) -> Any:
            if self.full:
                os.close(handle)
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            return real(handle, *arguments, **options)

        monkeypatch.setattr(files.os, "fdopen", fdopen)


class Gate:
    """A handler that waits to be let go, or to be asked to stop."""

    def __init__(self) -> None:
        self.entered = threading.Event()
        self.leave = threading.Event()
        self.ran: list[str] = []

    def __call__(self, context: JobContext) -> Json:
        self.ran.append(context.job.title)
        self.entered.set()
        while not self.leave.wait(0.005):
            if context.should_stop():
                raise JobStopped({"paths": ["kept.png"]})
        context.emit({"kind": "step"})
        return {"paths": ["made.png"]}


@pytest.fixture
def disk(monkeypatch: pytest.MonkeyPatch) -> Disk:
    return Disk(monkeypatch)


@pytest.fixture
def gate() -> Gate:
    return Gate()


@pytest.fixture
def store(tmp_path: Path) -> JobStore:
    return JobStore(tmp_path / "jobs")


@pytest.fixture
def worker(store: JobStore, gate: Gate) -> Iterator[Worker]:
    made = Worker(store, {"generate": gate, "teach": gate, "load": gate})
    made.start()
    yield made
    gate.leave.set()
    made.close(10)


def test_a_full_disk_ends_no_thread_and_no_job(worker: Worker, gate: Gate, disk: Disk) -> None:
    jobs = [worker.submit("generate", f"job {k}", {}) for k in range(3)]
    assert gate.entered.wait(5)
    disk.full = True
    gate.leave.set()
    ended = [worker.wait(job.id, 10) for job in jobs]
    assert [job.state for job in ended] == ["done"] * 3
    with pytest.raises(PerfusionError, match="full"):
        worker.submit("generate", "no room", {})
    assert [job.title for job in worker.store.all()] == ["job 0", "job 1", "job 2"]
    disk.full = False
    assert worker.wait(worker.submit("generate", "again", {}).id, 10).state == "done"
    # What could not be written then is written now.
    assert {job.state for job in JobStore(worker.store.root).all()} == {"done"}


def test_after_a_crash_a_full_disk_does_not_stop_the_worker_from_starting(
    store: JobStore, disk: Disk
) -> None:
    job = store.save(store.new("teach", "a dog", {}).changed(state="running"))
    disk.full = True
    worker = Worker(store, {"teach": lambda context: {}})
    worker.start()
    try:
        assert store.get(job.id).state == "interrupted"
        disk.full = False
        assert worker.wait(worker.resume(job.id).id, 10).state == "done"
    finally:
        worker.close()


def test_a_record_that_wrongly_says_running_stops_no_other_job_and_nobody_waits_for_it(
    worker: Worker, gate: Gate, store: JobStore
) -> None:
    real = worker.submit("generate", "real", {})
    assert gate.entered.wait(5)
    ghost = store.save(store.new("generate", "ghost", {}).changed(state="running"))
    waiting = threading.Thread(target=worker.wait, args=(ghost.id,))
    waiting.start()
    assert worker.stop(ghost.id).state == "interrupted"
    waiting.join(5)
    assert not waiting.is_alive()
    assert store.get(real.id).state == "running"
    gate.leave.set()
    assert worker.wait(real.id, 10).state == "done"


def test_stopping_a_queued_job_wakes_who_waits_for_it_while_another_runs(worker: Worker, gate: Gate) -> None:
    first, second = worker.submit("generate", "first", {}), worker.submit("generate", "second", {})
    assert gate.entered.wait(5)
    ended: list[str] = []
    waiting = threading.Thread(target=lambda: ended.append(worker.wait(second.id).state))
    waiting.start()
    worker.stop(second.id)
    waiting.join(5)
    assert ended == ["stopped"]
    assert worker.store.get(first.id).state == "running"


def test_what_was_queued_at_the_close_is_done_after_the_next_start(
    worker: Worker, gate: Gate, store: JobStore
) -> None:
    running, queued = worker.submit("generate", "running", {}), worker.submit("generate", "queued", {})
    assert gate.entered.wait(5)
    worker.close(10)
    assert (store.get(running.id).state, store.get(queued.id).state) == ("interrupted", "queued")
    gate.leave.set()
    worker.start()
    assert worker.wait(queued.id, 10).state == "done"
    assert gate.ran == ["running", "queued"]


def test_a_job_left_behind_at_the_close_never_runs_beside_the_next_one(store: JobStore) -> None:
    entered, leave, running, most = threading.Event(), threading.Event(), [0], [0]

    def deaf(_context: JobContext) -> Json:
        running[0] += 1
        most[0] = max(most[0], running[0])
        entered.set()
        leave.wait(10)
        running[0] -= 1
        return {"late": True}

    worker = Worker(store, {"generate": deaf})
    worker.start()
    first = worker.submit("generate", "first", {})
    assert entered.wait(5)
    second = worker.submit("generate", "second", {})
    worker.close(0.05)
    worker.start()
    leave.set()
    assert worker.wait(second.id, 10).state == "done"
    late = store.get(first.id)  # its end came after it had been given up
    assert (late.state, late.result, most) == ("interrupted", {}, [1])
    worker.close()


def test_a_handler_that_ends_its_thread_fails_its_job_only(store: JobStore) -> None:
    def leaving(context: JobContext) -> Json:
        if context.job.title == "bad":
            raise SystemExit(3)
        return {}

    worker = Worker(store, {"generate": leaving})
    worker.start()
    try:
        bad, good = worker.submit("generate", "bad", {}), worker.submit("generate", "good", {})
        assert worker.wait(good.id, 10).state == "done"
        assert store.get(bad.id).state == "failed"
    finally:
        worker.close()


def test_looking_at_jobs_reads_no_file_when_nothing_has_changed(
    worker: Worker, gate: Gate, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate.leave.set()
    for k in range(5):
        worker.wait(worker.submit("generate", f"job {k}", {}).id, 10)

    def touched(*_: Any, **__: Any) -> Any:
        raise AssertionError("the disk was asked")

    for name in ("read_bytes", "iterdir", "stat", "open"):
        monkeypatch.setattr(Path, name, touched)
    assert [job.title for job in worker.store.all()] == [f"job {k}" for k in range(5)]
    assert worker.store.get(worker.store.all()[0].id).state == "done"
    assert worker.position("nothere") == 0


def test_the_history_is_bounded_but_what_can_be_resumed_stays(tmp_path: Path) -> None:
    store = JobStore(tmp_path / "jobs")
    store.own()
    stopped = store.save(store.new("teach", "half a dog", {}).changed(state="stopped"))
    waiting = store.new("generate", "waits", {})
    for k in range(12):
        store.save(store.new("generate", f"job {k}", {}).changed(state="done"))
    store.prune(keep=10)
    titles = [job.title for job in store.all()]
    assert titles == ["half a dog", "waits", *(f"job {k}" for k in range(2, 12))]
    assert [job.title for job in JobStore(store.root).all()] == titles
    assert {stopped.id, waiting.id} <= {path.name for path in store.root.iterdir()}
    assert len(list(store.root.iterdir())) == 12
    assert HISTORY >= 100


def test_a_job_without_a_record_is_listed_until_it_is_over_and_leaves_nothing(
    worker: Worker, gate: Gate, disk: Disk
) -> None:
    disk.full = True  # it needs no disk either
    job = worker.submit("load", "a base", {}, recorded=False)
    assert gate.entered.wait(5)
    assert [found.id for found in worker.store.all()] == [job.id]
    gate.leave.set()
    assert worker.wait(job.id, 10).result == {"paths": ["made.png"]}
    assert worker.store.all() == []
    assert worker.store.get(job.id).state == "done"
    assert not worker.store.root.exists()


def test_events_are_read_once_and_a_line_in_the_making_is_read_when_it_is_whole(
    store: JobStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = store.new("teach", "a dog", {})
    for step in range(3):
        store.append(job.id, {"kind": "step", "step": step})
    assert [event["step"] for event in store.events(job.id)] == [0, 1, 2]
    log = store.folder(job.id) / "events.jsonl"
    with log.open("ab") as file:
        file.write(b'{"kind": "step", "st')
    assert len(store.events(job.id)) == 3
    with log.open("ab") as file:
        file.write(b'ep": 3}')
    assert [event["step"] for event in store.events(job.id)] == [0, 1, 2, 3]
    store.append(job.id, {"kind": "step", "step": 4})
    import json

    parsed: list[Any] = []
    real = json.loads
    monkeypatch.setattr(json, "loads", lambda text: parsed.append(text) or real(text))
    assert [event["step"] for event in store.events(job.id)] == [0, 1, 2, 3, 4]
    assert len(parsed) == 2  # the two new lines


def test_jobs_and_their_events_are_the_users_alone(store: JobStore) -> None:
    job = store.new("generate", "a secret prompt", {})
    store.append(job.id, {"kind": "step"})
    modes = {path.name: path.stat().st_mode & 0o777 for path in (store.root, *store.root.rglob("*"))}
    assert modes == {"jobs": 0o700, job.id: 0o700, "job.json": 0o600, "events.jsonl": 0o600}
