from __future__ import annotations

import multiprocessing
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from perfusion_core.errors import PerfusionError
from perfusion_core.studio.jobs.store import Job, JobStore, Json
from perfusion_core.studio.jobs.worker import Handler, JobContext, JobStopped, Worker, owner_lock


@pytest.fixture
def store(tmp_path: Path) -> JobStore:
    return JobStore(tmp_path / "jobs")


@pytest.fixture
def start(store: JobStore) -> Iterator[Callable[[Handler], Worker]]:
    workers: list[Worker] = []

    def begin(handler: Handler) -> Worker:
        worker = Worker(store, {"generate": handler, "teach": handler})
        workers.append(worker)
        worker.start()
        return worker

    yield begin
    for worker in workers:
        worker.close(10)


class Gate:
    """A handler that works until it is let go or asked to stop."""

    def __init__(self) -> None:
        self.entered = threading.Event()
        self.leave = threading.Event()
        self.running = 0
        self.most = 0

    def __call__(self, context: JobContext) -> Json:
        self.running += 1
        self.most = max(self.most, self.running)
        self.entered.set()
        try:
            while not self.leave.wait(0.005):
                if context.should_stop():
                    raise JobStopped({"kept": context.job.attempt})
            return {"attempt": context.job.attempt, "resuming": context.job.attempt > 1}
        finally:
            self.running -= 1


def test_a_job_runs_and_its_result_is_on_disk(start, store: JobStore) -> None:
    def handler(context: JobContext) -> Json:
        context.emit({"kind": "step", "loss": 0.5})
        return {"paths": ["a.png"]}

    worker = start(handler)
    job = worker.wait(worker.submit("generate", "one image", {"n": 1}).id, 10)
    assert (job.state, job.result, job.error) == ("done", {"paths": ["a.png"]}, None)
    assert JobStore(store.root).get(job.id) == job
    assert [event["loss"] for event in store.events(job.id, kind="step")] == [0.5]
    assert job.started_at is not None
    assert job.finished_at is not None


def test_one_job_at_a_time_in_the_order_of_asking_and_the_rest_know_their_place(
    start, store: JobStore
) -> None:
    gate = Gate()
    worker = start(gate)
    jobs = [worker.submit("generate", f"job {k}", {}) for k in range(4)]
    assert gate.entered.wait(5)
    assert [worker.position(job.id) for job in jobs] == [0, 1, 2, 3]
    assert [store.get(job.id).state for job in jobs] == ["running", "queued", "queued", "queued"]
    gate.leave.set()
    ended = [worker.wait(job.id, 10) for job in jobs]
    assert [job.state for job in ended] == ["done"] * 4
    assert gate.most == 1
    starts = [job.started_at or 0.0 for job in ended]
    assert starts == sorted(starts)


def test_a_running_job_stops_and_can_be_resumed(start) -> None:
    gate = Gate()
    worker = start(gate)
    job = worker.submit("teach", "a dog", {})
    assert gate.entered.wait(5)
    assert worker.stop(job.id).state in ("stopping", "stopped")
    stopped = worker.wait(job.id, 10)
    assert (stopped.state, stopped.result, stopped.resumable) == ("stopped", {"kept": 1}, True)
    gate.leave.set()
    worker.resume(job.id)
    done = worker.wait(job.id, 10)
    assert (done.state, done.result) == ("done", {"attempt": 2, "resuming": True})


def test_a_queued_job_stops_at_once_and_never_runs(start) -> None:
    gate = Gate()
    worker = start(gate)
    first, second = worker.submit("generate", "first", {}), worker.submit("generate", "second", {})
    assert gate.entered.wait(5)
    assert worker.stop(second.id).state == "stopped"
    gate.leave.set()
    assert worker.wait(first.id, 10).state == "done"
    assert worker.store.get(second.id).started_at is None


def test_stopping_one_job_does_not_stop_the_next(start) -> None:
    gate = Gate()
    worker = start(gate)
    first, second = worker.submit("generate", "first", {}), worker.submit("generate", "second", {})
    assert gate.entered.wait(5)
    worker.stop(first.id)
    worker.wait(first.id, 10)
    gate.leave.set()
    assert worker.wait(second.id, 10).state == "done"


@pytest.mark.parametrize(
    ("failure", "words"),
    [
        (PerfusionError("There is no concept <x>. Teach it first."), "Teach it first"),
        (MemoryError(), "memory was not enough.*and resume\\.$"),
        (RuntimeError("CUDA out of memory. Tried"), "memory was not enough.*and resume\\.$"),
        (ValueError("odd"), "unexpected went wrong.*odd.*error.txt"),
    ],
)
def test_a_failed_job_says_why_and_the_worker_goes_on(
    start, store: JobStore, failure: Exception, words: str
) -> None:
    failing = [True]

    def handler(_context: JobContext) -> Json:
        if failing.pop() if failing else False:
            raise failure
        return {}

    worker = start(handler)
    failed = worker.wait(worker.submit("generate", "first", {}).id, 10)
    assert failed.state == "failed"
    with pytest.raises(PerfusionError, match=words):
        raise PerfusionError(failed.error)
    assert worker.wait(worker.submit("generate", "second", {}).id, 10).state == "done"
    assert worker.wait(worker.resume(failed.id).id, 10).state == "done"


def test_closing_interrupts_the_running_job_and_keeps_the_queue(store: JobStore) -> None:
    gate = Gate()
    worker = Worker(store, {"generate": gate})
    worker.start()
    running, waiting = worker.submit("generate", "running", {}), worker.submit("generate", "waiting", {})
    assert gate.entered.wait(5)
    worker.close(10)
    assert store.get(running.id).state == "interrupted"
    assert store.get(waiting.id).state == "queued"


def test_a_job_that_does_not_hear_is_left_behind_as_interrupted(store: JobStore) -> None:
    entered, leave = threading.Event(), threading.Event()

    def deaf(context: JobContext) -> Json:
        entered.set()
        leave.wait(10)
        return {}

    worker = Worker(store, {"generate": deaf})
    worker.start()
    job = worker.submit("generate", "deaf", {})
    assert entered.wait(5)
    worker.close(0.05)
    assert store.get(job.id).state == "interrupted"
    leave.set()


def test_after_a_crash_running_jobs_are_interrupted_never_running(store: JobStore) -> None:
    states = ("running", "stopping", "queued", "done", "failed", "stopped")
    jobs = {state: store.save(store.new("teach", state, {}).changed(state=state)) for state in states}
    store.recover()
    after = {state: store.get(job.id).state for state, job in jobs.items()}
    assert after == {**{s: s for s in states}, "running": "interrupted", "stopping": "interrupted"}
    assert store.get(jobs["running"].id).resumable


def test_only_what_can_be_resumed_is_and_only_what_is_over_is_removed(start, store: JobStore) -> None:
    gate = Gate()
    worker = start(gate)
    gate.leave.set()
    done = worker.wait(worker.submit("generate", "quick", {}).id, 10)
    with pytest.raises(PerfusionError, match="is done"):
        worker.resume(done.id)
    store.remove(done.id)
    with pytest.raises(PerfusionError, match="no job"):
        store.get(done.id)
    gate.leave.clear()
    gate.entered.clear()
    running, queued = worker.submit("teach", "now", {}), worker.submit("teach", "later", {})
    assert gate.entered.wait(10)
    for job in (running, queued):
        with pytest.raises(PerfusionError, match="Stop it"):
            store.remove(job.id)


def test_unreadable_records_and_cut_events_are_skipped(store: JobStore) -> None:
    job = store.new("teach", "a dog", {})
    store.append(job.id, {"kind": "step", "step": 1})
    with (store.folder(job.id) / "events.jsonl").open("ab") as file:
        file.write(b'{"kind": "step", "st')
    store.append(job.id, {"kind": "step", "step": 2})
    assert [event["step"] for event in store.events(job.id)] == [1, 2]
    broken = store.new("teach", "broken", {})
    (store.folder(broken.id) / "job.json").write_text("{")
    assert [found.id for found in store.all()] == [job.id]


@pytest.mark.parametrize("name", ["../secret", "", "a/b", "nothere"])
def test_an_unknown_id_is_an_error_and_never_a_path(store: JobStore, name: str) -> None:
    with pytest.raises(PerfusionError, match="no job"):
        store.get(name)


def test_numbers_keep_the_order_when_the_clock_goes_back(
    store: JobStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = store.new("teach", "first", {})
    monkeypatch.setattr(time, "time", lambda: 0.0)
    second = store.new("teach", "second", {})
    assert [job.id for job in store.all()] == [first.id, second.id]


def test_a_record_of_another_shape_is_not_believed(store: JobStore) -> None:
    job = store.new("teach", "a dog", {})
    text = job.model_dump_json()
    path = store.folder(job.id) / "job.json"
    for wrong in (text.replace('"queued"', '"flying"'), text[:-1] + ',"more":1}'):
        path.write_text(wrong)
        assert store.all() == []
    path.write_text(text)
    assert store.all() == [Job.model_validate_json(text)]


def try_to_own(home: str, answers) -> None:  # type: ignore[no-untyped-def]
    try:
        owner_lock(Path(home)).release()
        answers.put("free")
    except PerfusionError as error:
        answers.put(str(error))


def test_a_second_process_on_one_folder_is_told_why_it_cannot_work(tmp_path: Path) -> None:
    context = multiprocessing.get_context("fork")
    answers = context.Queue()
    lock = owner_lock(tmp_path)

    def ask() -> str:
        process = context.Process(target=try_to_own, args=(str(tmp_path), answers))
        process.start()
        answer = answers.get(timeout=20)
        process.join(20)
        return answer

    assert "Another Perfusion Studio is already working" in ask()
    lock.release()
    assert ask() == "free"
