"""A pool without processes: each worker answers a task with the messages of a script."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence

from perfusion_core.fanout.tasks import Died, Finished, Kept, Message, Ready, Refused, Result, Setup, Task

Script = Callable[[Task, int], Sequence[Message]]  # the task, and how often it was handed out before


class FakePool:
    """`starts` are what workers say when they start; with none left they are ready."""

    def __init__(self, script: Script, starts: Sequence[Message] = ()) -> None:
        self.script = script
        self.starts = deque(starts)
        self.said: deque[tuple[int, Message]] = deque()
        self.handed: list[tuple[int, str, dict[str, bytes]]] = []
        self.started: list[int] = []
        self.retired: list[int] = []
        self._count = 0

    def grow(self, setup: Setup, count: int) -> None:
        for worker in range(self._count, self._count + count):
            self._start(worker)
        self._count += count

    def submit(self, worker: int, task: Task) -> None:
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


__all__ = ["Died", "FakePool", "Kept", "Refused", "finished"]
