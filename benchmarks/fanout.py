"""What fan-out costs: workers of this machine against one, and the driver alone with very many workers.

`python -m benchmarks.fanout` teaches concepts on the bundled base with one worker and then with two, each of
one thread, and prints the efficiency (1 where two do twice as much as one) and the driver's own time. Then it
runs a thousand tasks that only sleep on two hundred fake workers in threads of this process, each task with
the messages and bytes of a real teaching; `--fake 200` runs these alone.
"""

from __future__ import annotations

import argparse
import json
import queue
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import psutil

from benchmarks.subjects import machine
from perfusion_core.fanout.driver import Driver, first_ready
from perfusion_core.fanout.loaded_base import BaseSetup
from perfusion_core.fanout.local_pool import LocalPool
from perfusion_core.fanout.manifest import read_manifest
from perfusion_core.fanout.results_folder import ResultsFolder
from perfusion_core.fanout.run_log import RunLog
from perfusion_core.fanout.tasks import (
    Ends,
    Json,
    Kept,
    Message,
    Planned,
    Progress,
    Result,
    Setup,
    Task,
    Tell,
)
from perfusion_core.fanout.teach_all import Item, planned_of, start
from perfusion_core.fanout.teach_work import TeachSetup
from perfusion_core.fanout.worker_loop import one_by_one, serve
from perfusion_core.studio.teaching.example_photos import example_sets

FAKE_WORKERS = 200
# Of a teaching on the bundled base, measured: bytes of its files, of a checkpoint, and what is told of it.
RESULT_BYTES, IMAGE_BYTES, CHECKPOINT_BYTES, CHECKPOINTS = 9_000, 35_000, 43_000, 5


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--concepts", type=int, default=8)
    parser.add_argument("--steps", type=int, help="of each teaching; the preset's by default")
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2], help="compared with the first")
    parser.add_argument("--fake", type=int, help="only so many fake workers, with --tasks and --seconds")
    parser.add_argument("--tasks", type=int, default=1000)
    parser.add_argument("--seconds", type=float, default=20.0, help="that a fake task sleeps")
    options = parser.parse_args()
    print(machine())
    if not options.fake:
        _real(options.concepts, options.steps, options.workers)
    _fake(options.fake or FAKE_WORKERS, options.tasks, options.seconds)


def _real(concepts: int, steps: int | None, workers: Sequence[int]) -> None:
    runs = {count: _run(concepts, steps, count) for count in workers}
    first = runs[workers[0]]
    for count, run in runs.items():
        clock = first.clock * workers[0] / (run.clock * count)
        cpu = first.cpu / run.cpu
        print(
            f"{count} workers: {run.clock:.1f} s from the first task to the last result, {run.cpu:.1f} s of "
            f"CPU; efficiency {clock:.2f} by the clock, {cpu:.2f} by CPU; driver {run.driver * 1000:.0f} ms "
            "a concept"
        )


@dataclass(frozen=True)
class _Run:
    """Seconds: by the clock with all workers up, of CPU in workers, and of the driver for each concept."""

    clock: float
    cpu: float
    driver: float


def _run(concepts: int, steps: int | None, workers: int) -> _Run:
    with tempfile.TemporaryDirectory() as folder:
        manifest = Path(folder) / "m.jsonl"
        lines, examples = [], example_sets()
        for number in range(concepts):
            example = examples[number % len(examples)]
            line: Json = {
                "name": f"{example.name}-{number}",
                "superclass": example.superclass,
                "photos": str(example.photos[0].parent),
            }
            lines.append(json.dumps({**line, **({"steps": steps} if steps else {})}))
        manifest.write_text("\n".join(lines), "utf-8")
        items = [Item(line.name, line) for line in read_manifest(manifest).lines]
        pool = _Watched(LocalPool(threads=1))
        results = ResultsFolder(Path(folder) / "out")
        results.prepare()
        log = RunLog(results)
        try:
            begun = start(
                pool,
                TeachSetup(BaseSetup("pocket", Path(folder), device="cpu", threads=1)),
                log.write,
                lambda: False,
            )
            assert begun is not None
            facts, setup = begun
            # All workers are up before the clock starts: they load the base once, however long the list is.
            pool.grow(setup, workers - 1)
            ready = [0]
            while len(ready) < workers:
                ready += [worker for worker, _ in pool.wait(1.0)]
            before, pool.waited, clock = pool.cpu(), 0.0, time.perf_counter()
            driver = Driver(pool, results, log.write, workers=ready, started=workers)
            outcome = driver.run(planned_of(items, facts))
            seconds = time.perf_counter() - clock
            assert len(outcome.done) == concepts, outcome.failed
            return _Run(seconds, pool.cpu() - before, (seconds - pool.waited) / concepts)
        finally:
            pool.close()


class _Watched:
    """A pool, with the seconds spent waiting for workers and the CPU seconds of their processes."""

    def __init__(self, pool: Any) -> None:
        self._pool = pool
        self.waited = 0.0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._pool, name)

    def wait(self, seconds: float) -> Sequence[tuple[int, Message]]:
        begun = time.perf_counter()
        try:
            return self._pool.wait(seconds)
        finally:
            self.waited += time.perf_counter() - begun

    def cpu(self) -> float:
        times = [child.cpu_times() for child in psutil.Process().children(recursive=True)]
        return sum(one.user + one.system for one in times)


def _fake(workers: int, tasks: int, seconds: float) -> None:
    pool = _Watched(_ThreadPool())
    with tempfile.TemporaryDirectory() as folder:
        results = ResultsFolder(Path(folder) / "out")
        results.prepare()
        log = RunLog(results)
        setup = _SleepSetup(seconds)
        assert first_ready(pool, setup, log.write) is not None
        pool.grow(setup, workers - 1)
        planned = [Planned(f"concept-{k}", f"key-{k}", lambda: b"x" * 500_000) for k in range(tasks)]
        pool.waited, clock, own = 0.0, time.perf_counter(), time.thread_time()
        outcome = Driver(pool, results, log.write, workers=[0], started=workers).run(planned)
        took, own = time.perf_counter() - clock, time.thread_time() - own
        assert len(outcome.done) == tasks
        fsyncs = _sync_cost(Path(folder))
    ideal = -(-tasks // workers) * seconds
    busy = took - pool.waited
    print(f"{tasks} tasks of {seconds:g} s on {workers} fake workers: {took:.1f} s, {ideal:.1f} s at best")
    print(
        f"driver busy {100 * busy / took:.0f} % of the time: {1000 * busy / tasks:.1f} ms a concept, "
        f"{1000 * own / tasks:.1f} ms of CPU (an fsync here takes {1000 * fsyncs:.1f} ms)"
    )


def _sync_cost(folder: Path) -> float:
    from perfusion_core.files import write_atomic

    times = []
    for _ in range(20):
        begun = time.perf_counter()
        write_atomic(folder / "probe", b"x" * 4000)
        times.append(time.perf_counter() - begun)
    return median(times)


@dataclass(frozen=True)
class _SleepSetup:
    seconds: float

    def work(self) -> _SleepWork:
        return _SleepWork(self.seconds)


class _SleepWork:
    """Sleeps, and says what a teaching would."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds

    def ready(self) -> Json:
        return {}

    def do(self, tasks: Sequence[Task], tell: Tell) -> Ends:
        return one_by_one(tasks, lambda task: self._done(task, tell))

    def _done(self, task: Task, tell: Tell) -> Result:
        label = task.label
        for checkpoint in range(CHECKPOINTS):
            tell(Kept(label, {"checkpoint.pt": bytes(CHECKPOINT_BYTES)}))
            until = time.monotonic() + self._seconds / CHECKPOINTS
            while (left := until - time.monotonic()) > 0:
                tell(Progress(label, {"stage": "Teaching", "step": checkpoint, "total": 40, "loss": 0.1}))
                time.sleep(min(1.0, left))
        files = {
            f"concepts/{label}.safetensors": bytes(RESULT_BYTES),
            f"images/{label}.json": bytes(IMAGE_BYTES),
        }
        return Result(files, {"scores": {"image": 0.5, "text": 0.5}, "seconds": self._seconds})


class _ThreadPool:
    """Fake workers: the real worker loop, each in a thread of this process."""

    def __init__(self) -> None:
        self._inboxes: list[queue.SimpleQueue[Sequence[Task] | None]] = []
        self._said: queue.SimpleQueue[tuple[int, Message]] = queue.SimpleQueue()

    def grow(self, setup: Setup, count: int) -> None:
        for _ in range(count):
            inbox: queue.SimpleQueue[Sequence[Task] | None] = queue.SimpleQueue()
            worker = len(self._inboxes)
            self._inboxes.append(inbox)
            tell: Callable[[Message], None] = lambda message, worker=worker: self._said.put((worker, message))  # noqa: E731
            threading.Thread(target=serve, args=(setup, inbox.get, tell), daemon=True).start()

    def submit(self, worker: int, tasks: Sequence[Task]) -> None:
        self._inboxes[worker].put(tasks)

    def wait(self, seconds: float) -> Sequence[tuple[int, Message]]:
        heard: list[tuple[int, Message]] = []
        try:
            heard.append(self._said.get(timeout=seconds))
            while True:
                heard.append(self._said.get_nowait())
        except queue.Empty:
            return heard

    def revive(self, worker: int) -> None:
        raise AssertionError("fake workers do not die")

    retire = revive

    def close(self) -> None:
        for inbox in self._inboxes:
            inbox.put(None)


if __name__ == "__main__":
    main()
