"""A pool without processes: each worker answers a task with the messages of a script."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from perfusion_core.fanout.driver import Driver, Outcome, first_ready
from perfusion_core.fanout.results_folder import ResultsFolder
from perfusion_core.fanout.tasks import Finished, Message, Planned, Ready, Result, Setup, Task
from tests.fanout.small_work import SmallSetup

Script = Callable[[Task, int], Sequence[Message]]  # the task, and how often it was handed out before


class FakePool:
    """`starts` are what workers say when they start; with none left they are ready."""

    def __init__(self, script: Script, starts: Sequence[Message] = ()) -> None:
        self.script = script
        self.starts = deque(starts)
        self.said: deque[tuple[int, Message]] = deque()
        self.handed: list[tuple[int, str, dict[str, bytes]]] = []
        self.batches: list[list[str]] = []
        self.started: list[int] = []
        self.retired: list[int] = []
        self._count = 0

    def grow(self, setup: Setup, count: int) -> None:
        for worker in range(self._count, self._count + count):
            self._start(worker)
        self._count += count

    def submit(self, worker: int, tasks: Sequence[Task]) -> None:
        self.batches.append([task.label for task in tasks])
        for task in tasks:
            before = sum(label == task.label for _, label, _ in self.handed)
            self.handed.append((worker, task.label, dict(task.kept)))
            self.said.extend((worker, message) for message in self.script(task, before))

    def wait(self, seconds: float) -> Sequence[tuple[int, Message]]:
        assert self.said, "the driver waits for workers that will never say anything"
        return [self.said.popleft()]

    def revive(self, worker: int) -> None:
        self._start(worker)

    def retire(self, worker: int) -> None:
        self.retired.append(worker)

    def close(self) -> None:
        return None

    def _start(self, worker: int) -> None:
        self.started.append(worker)
        message = self.starts.popleft() if self.starts else Ready({})
        self.said.append((worker, message))


def finished(label: str) -> Finished:
    return Finished(label, Result({f"concepts/{label}.txt": label.encode()}, {"name": label}))


def run(
    tmp_path: Path, pool: FakePool, labels: str, workers: int = 2, together: int = 1, **options: Any
) -> tuple[Outcome, list[dict[str, Any]]]:
    """Tasks of one letter each, whose form is whether it is a capital, and what the driver tells of them."""
    events: list[dict[str, Any]] = []
    results = ResultsFolder(tmp_path / "out")
    results.prepare()
    assert first_ready(pool, SmallSetup(), events.append) is not None
    pool.grow(SmallSetup(), workers - 1)
    driver = Driver(pool, results, events.append, workers=[0], started=workers, together=together)
    planned = [Planned(label, f"key of {label}", lambda: None, str(label.isupper())) for label in labels]
    return driver.run(planned, **options), events
