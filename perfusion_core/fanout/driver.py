"""The driver: hands tasks to workers, keeps what comes back, and outlives every one of them."""

from __future__ import annotations

import time
from collections import Counter, deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from perfusion_core.errors import PerfusionError
from perfusion_core.fanout.backlog import Backlog
from perfusion_core.fanout.results_folder import ResultsFolder
from perfusion_core.fanout.tasks import (
    Died,
    Failed,
    Finished,
    Json,
    Kept,
    Message,
    Planned,
    Pool,
    Progress,
    Ready,
    Refused,
    Setup,
    Task,
)

MOST_DEATHS = 3  # of workers over one task, or of one worker before it is ready
PULSE = 0.2  # seconds between looks at whether to stop

Listen = Callable[[Json], None]
"""Called with everything that happens, as plain facts with "event", "label" and "worker" where they apply."""


@dataclass
class Outcome:
    """Labels of what is done, and the reason of each failure. `stopped`: some were not tried to the end."""

    done: list[str] = field(default_factory=list[str])
    failed: dict[str, str] = field(default_factory=dict[str, str])
    stopped: bool = False


def first_ready(
    pool: Pool, setup: Setup, listen: Listen, should_stop: Callable[[], bool] = lambda: False
) -> Json | None:
    """Start worker 0 and return what it works with; None when stopped. Raises `PerfusionError`."""
    pool.grow(setup, 1)
    deaths = 0
    while not should_stop():
        for worker, message in pool.wait(PULSE):
            if isinstance(message, Ready):
                listen({"event": "worker ready", "worker": worker})
                return message.facts
            if isinstance(message, Refused):
                raise PerfusionError(message.reason)
            if isinstance(message, Died):
                deaths += 1
                listen({"event": "worker died", "worker": worker, "reason": message.reason})
                if deaths == MOST_DEATHS:
                    raise _nobody_left(message.reason)
                pool.revive(worker)
    return None


@dataclass(frozen=True)
class _Batch:
    """The tasks of one worker that have not ended, by label; `shared`: there were several."""

    tasks: dict[str, Planned]
    shared: bool


class Driver:
    """One run over a list of tasks. `workers` are those that wait already; others may become ready. A worker
    is given up to `together` tasks at a time, and new ones when all of them have ended.
    """

    def __init__(
        self,
        pool: Pool,
        results: ResultsFolder,
        listen: Listen,
        *,
        workers: Sequence[int],
        started: int,
        together: int = 1,
    ) -> None:
        self._pool = pool
        self._results = results
        self._listen = listen
        self._idle = deque(workers)
        self._alive = set(range(started))
        self._running: dict[int, _Batch] = {}
        self._backlog = Backlog(together)
        self._resumed: set[str] = set()  # labels that go on from a checkpoint
        self._deaths: Counter[str] = Counter()  # by label
        self._faults: Counter[int] = Counter()  # deaths by worker before it was ready
        self._outcome = Outcome()

    def run(self, planned: Sequence[Planned], should_stop: Callable[[], bool] = lambda: False) -> Outcome:
        """Do all tasks. Raises `PerfusionError` when no worker is left or a result cannot be written."""
        self._backlog.add(planned)
        while self._backlog or self._running:
            if should_stop():
                self._outcome.stopped = True
                break
            while self._idle and self._backlog:
                self._hand_out(self._idle.popleft())
            if self._running or self._backlog:
                for worker, message in self._pool.wait(PULSE):
                    self._hear(worker, message)
        return self._outcome

    def _hand_out(self, worker: int) -> None:
        batch = [
            (planned, task)
            for planned in self._backlog.take(len(self._alive))
            if (task := self._task(planned))
        ]
        if not batch:
            self._idle.appendleft(worker)
            return
        self._running[worker] = _Batch({planned.label: planned for planned, _ in batch}, len(batch) > 1)
        for planned, task in batch:
            self._tell("started", planned, worker, resumed=bool(task.kept))
        self._pool.submit(worker, [task for _, task in batch])

    def _task(self, planned: Planned) -> Task | None:
        """What goes to the worker; None when it failed here."""
        try:
            payload = planned.load()
            kept = self._results.kept(planned.label, planned.key)
        except PerfusionError as error:  # a photo that was there when the manifest was read
            self._fail(planned, str(error))
            return None
        if kept:
            self._resumed.add(planned.label)
        return Task(planned.label, payload, kept)

    def _hear(self, worker: int, message: Message) -> None:
        batch = self._running.get(worker)
        if isinstance(message, Ready):
            self._listen({"event": "worker ready", "worker": worker})
            self._faults[worker] = 0
            self._idle.append(worker)
        elif isinstance(message, Refused):
            self._listen({"event": "worker refused", "worker": worker, "reason": message.reason})
            self._lose(worker, message.reason)
        elif isinstance(message, Died):
            self._died(worker, message.reason)
        elif batch is None or (planned := batch.tasks.get(message.label)) is None:
            return  # the last words of a worker whose tasks were given to another
        elif isinstance(message, Progress):
            self._tell("progress", planned, worker, **message.facts)
        elif isinstance(message, Kept):
            self._results.keep(planned.label, planned.key, message.files)
            self._tell("checkpoint", planned, worker, bytes=sum(map(len, message.files.values())))
        else:
            del batch.tasks[planned.label]
            if isinstance(message, Finished):
                self._finish(worker, planned, message)
            else:
                self._failed(worker, planned, message, shared=batch.shared)

    def _finish(self, worker: int, planned: Planned, message: Finished) -> None:
        self._results.finish(planned.label, planned.key, message.result)
        self._outcome.done.append(planned.label)
        self._rest(worker)
        self._tell("done", planned, worker, **message.result.facts)

    def _failed(self, worker: int, planned: Planned, message: Failed, *, shared: bool) -> None:
        if message.details:
            self._listen({"event": "worker doubted", "worker": worker, "details": message.details})
            for other in self._ended(worker):  # they go on from their checkpoints
                self._backlog.put_back(other)
            self._pool.revive(worker)
            if shared:  # whose fault it was shows when each is alone
                self._tell("alone", planned, worker, reason=message.reason)
                self._backlog.put_back(planned, alone=True)
                return
        else:
            self._rest(worker)
        if planned.label in self._resumed:  # its checkpoint may be at fault: once more, without it
            self._resumed.discard(planned.label)
            self._results.forget(planned.label)
            self._tell("again", planned, worker, reason=message.reason)
            self._backlog.put_back(planned)
            return
        self._fail(planned, message.reason)

    def _rest(self, worker: int) -> None:
        """Let a worker wait for tasks once all of its own have ended."""
        if not self._running[worker].tasks:
            del self._running[worker]
            self._idle.append(worker)

    def _ended(self, worker: int) -> list[Planned]:
        """The tasks that a worker had, the last first; it has none any more."""
        batch = self._running.pop(worker, None)
        return [] if batch is None else [*reversed(batch.tasks.values())]

    def _died(self, worker: int, reason: str) -> None:
        self._listen({"event": "worker died", "worker": worker, "reason": reason})
        if worker in self._running:
            for planned in self._ended(worker):
                self._lay_to(planned, reason)
        elif worker in self._idle:
            self._idle.remove(worker)
        else:  # not ready yet: it may never be
            self._faults[worker] += 1
            if self._faults[worker] == MOST_DEATHS:
                self._lose(worker, reason)
                return
        self._pool.revive(worker)

    def _lay_to(self, planned: Planned, reason: str) -> None:
        """Note that a task's worker died; the task goes on from its checkpoint, alone, but not for ever."""
        self._deaths[planned.label] += 1
        if self._deaths[planned.label] < MOST_DEATHS:
            self._backlog.put_back(planned, alone=True)
            return
        self._fail(
            planned,
            f"Its worker ended {MOST_DEATHS} times ({reason}). The memory may be too small for it, or a "
            "photo breaks a decoder; teach it alone to see more.",
        )

    def _lose(self, worker: int, reason: str) -> None:
        self._alive.discard(worker)
        self._pool.retire(worker)
        if not self._alive:
            raise _nobody_left(reason)

    def _fail(self, planned: Planned, reason: str) -> None:
        self._outcome.failed[planned.label] = reason
        self._tell("failed", planned, None, reason=reason)

    def _tell(self, event: str, planned: Planned, worker: int | None, **facts: object) -> None:
        self._listen({**facts, "event": event, "label": planned.label, "worker": worker, "time": time.time()})


def _nobody_left(reason: str) -> PerfusionError:
    return PerfusionError(
        f"No worker is left ({reason}). What is done is kept; start the same command again once the cause is "
        "gone."
    )
