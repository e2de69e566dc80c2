"""Jobs on a disk that fills up, jobs that cannot be written, and what is known without asking the disk."""

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
from perfusion_core.studio.jobs.store import JobStore, Json
from perfusion_core.studio.jobs.worker import JobContext, JobStopped, Worker

HALF = "caf\udce9"  # how Python gives a file name that is no UTF-8; it cannot be written as text


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


def _does(bad: str, context: JobContext) -> Json:
    """What a handler does that has come upon something that cannot be written."""
    match bad:
        case "message":
            raise ValueError(HALF)
        case "refusal":
            raise PerfusionError(HALF)
        case "kept result":
            raise JobStopped({"paths": [HALF]})
        case "event":
            context.emit({"kind": "warning", "text": HALF})
        case "NaN event":
            context.emit({"kind": "step", "loss": float("nan")})
        case "odd event":
            context.emit({"kind": "step", "loss": object()})
    return {"paths": [HALF]} if bad == "result path" else {"paths": []}


@pytest.mark.parametrize(
    "bad", ["message", "refusal", "result path", "kept result", "event", "NaN event", "odd event"]
)
def test_what_cannot_be_written_fails_its_job_at_most(store: JobStore, bad: str) -> None:
    worker = Worker(
        store, {"generate": lambda context: _does(bad if context.job.title == "bad" else "", context)}
    )
    worker.start()
    try:
        first = worker.wait(worker.submit("generate", "bad", {}).id, 10)
        state, result = ("done", {"paths": []}) if "event" in bad else ("failed", {})
        assert (first.state, first.result) == (state, result)
        assert bool(first.error) == (state == "failed")
        assert worker.wait(worker.submit("generate", "good", {}).id, 10).state == "done"
        assert [job.state for job in JobStore(store.root).all()] == [state, "done"]
    finally:
        worker.close()


def test_a_request_that_cannot_be_written_is_refused_and_leaves_nothing(
    worker: Worker, gate: Gate, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(PerfusionError, match="cannot be recorded"):
        worker.submit("generate", "bad", {"out": f"/pictures/{HALF}"})

    def interrupted(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("perfusion_core.studio.jobs.store.write_atomic", interrupted)
        with pytest.raises(KeyboardInterrupt):
            worker.submit("generate", "interrupted", {})
    assert list(worker.store.root.iterdir()) == worker.store.all() == []
    gate.leave.set()
    assert worker.wait(worker.submit("generate", "good", {}).id, 10).state == "done"


def test_whoever_waits_is_told_also_when_the_end_of_a_job_fails(
    worker: Worker, gate: Gate, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken() -> None:
        raise ZeroDivisionError

    job = worker.submit("generate", "first", {})
    assert gate.entered.wait(5)
    with monkeypatch.context() as patch:
        patch.setattr(worker.store, "prune", broken)
        waiting = threading.Thread(target=worker.wait, args=(job.id,), daemon=True)
        waiting.start()
        gate.leave.set()
        waiting.join(5)
        assert not waiting.is_alive()
    assert worker.wait(worker.submit("generate", "second", {}).id, 10).state == "done"


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
