"""Workers as processes of this machine, each with a pipe. Needs nothing but Python's own multiprocessing."""

from __future__ import annotations

import multiprocessing
import os
import signal
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from typing import Any

from perfusion_core.fanout.tasks import Died, Message, Setup, Task
from perfusion_core.fanout.worker_loop import serve

PATIENCE = 5.0  # seconds that a worker is given to end by itself


@dataclass
class _Member:
    """One worker's process and our end of its pipe."""

    process: Any
    connection: Connection


class LocalPool:
    """Worker k sees only the graphics card `k % devices`; with `devices` 0 what it sees is left alone.

    `threads` bounds the CPU threads of each worker, so that several do not get into each other's way.
    """

    def __init__(self, *, devices: int = 0, threads: int | None = None) -> None:
        self._devices = devices
        self._threads = threads
        # Never a fork: the driver may hold threads and locks, and CUDA does not survive one.
        self._context = multiprocessing.get_context("spawn")
        self._members: dict[int, _Member] = {}
        self._setup: Setup | None = None
        self._count = 0

    def grow(self, setup: Setup, count: int) -> None:
        self._setup = setup
        for worker in range(self._count, self._count + count):
            self._members[worker] = self._started(worker)
        self._count += count

    def submit(self, worker: int, tasks: Sequence[Task]) -> None:
        with suppress(OSError):  # it died just now, which `wait` will say
            self._members[worker].connection.send(tasks)

    def wait(self, seconds: float) -> Sequence[tuple[int, Message]]:
        by_connection = {member.connection: worker for worker, member in self._members.items()}
        heard: list[tuple[int, Message]] = []
        for ready in wait(list(by_connection), timeout=seconds):
            assert isinstance(ready, Connection)
            worker = by_connection[ready]
            try:
                heard.append((worker, ready.recv()))
            except (EOFError, OSError):
                heard.append((worker, Died(self._end(worker))))
        return heard

    def revive(self, worker: int) -> None:
        self.retire(worker)
        self._members[worker] = self._started(worker)

    def retire(self, worker: int) -> None:
        if worker in self._members:
            self._end(worker, at_once=True)

    def close(self) -> None:
        for member in self._members.values():
            with suppress(OSError):
                member.connection.send(None)
        for worker in list(self._members):
            self._end(worker, at_once=True)

    def pid(self, worker: int) -> int:
        """The process id of a worker."""
        return self._members[worker].process.pid

    def _started(self, worker: int) -> _Member:
        ours, theirs = self._context.Pipe()
        environment: dict[str, str] = {}
        if self._devices:
            environment["CUDA_VISIBLE_DEVICES"] = _visible(worker % self._devices)
        if self._threads:
            environment["OMP_NUM_THREADS"] = str(self._threads)
        process = self._context.Process(
            target=_work, args=(theirs, self._setup, environment), name=f"worker-{worker}", daemon=True
        )
        process.start()
        theirs.close()  # else the end of the worker would not end the pipe
        return _Member(process, ours)

    def _end(self, worker: int, *, at_once: bool = False) -> str:
        """End a worker's process and say how it ended."""
        member = self._members.pop(worker)
        member.connection.close()
        member.process.join(0.2 if at_once else PATIENCE)
        if member.process.is_alive():
            member.process.kill()
            member.process.join()
        code = member.process.exitcode
        member.process.close()
        return f"killed by signal {-code}" if code is not None and code < 0 else f"exit code {code}"


def _visible(device: int) -> str:
    """The name of our device number `device`, where only some of the machine's are ours."""
    given = [name for name in os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",") if name.strip()]
    return given[device].strip() if device < len(given) else str(device)


def _work(connection: Connection, setup: Setup, environment: dict[str, str]) -> None:
    os.environ.update(environment)  # before torch is imported
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C in the terminal is for the driver

    def receive() -> Sequence[Task] | None:
        try:
            return connection.recv()
        except EOFError:  # the driver is gone
            return None

    with suppress(BrokenPipeError, ConnectionResetError):  # likewise, in the middle of a task
        serve(setup, receive, connection.send)
