"""What passes between the driver and its workers. All of it can be pickled; nothing here needs torch.

The driver reads manifests, hands out tasks and keeps results; a worker owns one device (or a share of one),
holds the base model in memory and does one task, or one batch of them, after another. They share no files: a
task carries the bytes of its photos, a result the bytes of its files.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

Json = dict[str, Any]
Files = Mapping[str, bytes]  # relative path with "/" -> content


@dataclass(frozen=True)
class Planned:
    """A task of the driver's list. `label` is unique and names its files; `key` is a hash of everything its
    result depends on; `load` reads its payload, once a worker is free for it; tasks of one `form` may share a
    batch.
    """

    label: str
    key: str
    load: Callable[[], Any]
    form: str = ""


@dataclass(frozen=True)
class Task:
    """A task on its way to a worker; `kept` are the files of the checkpoint that it goes on from."""

    label: str
    payload: Any
    kept: Files = field(default_factory=dict[str, bytes])


@dataclass(frozen=True)
class Result:
    """What a task came to: files by their place in the results folder, and facts for log and report."""

    files: Files
    facts: Json


@dataclass(frozen=True)
class Ready:
    """A worker is up and waits for tasks; `facts` say what it works with."""

    facts: Json


@dataclass(frozen=True)
class Refused:
    """A worker cannot work at all, for a reason that another start would not change."""

    reason: str


@dataclass(frozen=True)
class Progress:
    """How far a task is: stage, step, total, loss, as far as they are known."""

    label: str
    facts: Json


@dataclass(frozen=True)
class Kept:
    """A checkpoint's files; those that were sent before and have not changed are left out."""

    label: str
    files: Files


@dataclass(frozen=True)
class Finished:
    label: str
    result: Result


@dataclass(frozen=True)
class Failed:
    """A task failed. With a traceback in `details` the reason is a bug or a broken device, and the worker is
    started anew.
    """

    label: str
    reason: str
    details: str = ""


@dataclass(frozen=True)
class Died:
    """A worker's process, or the node it ran on, is gone."""

    reason: str


Message = Ready | Refused | Progress | Kept | Finished | Failed | Died
Tell = Callable[[Message], None]
Ends = Generator[tuple[str, Result | Exception], None, None]
"""Labels of tasks with what came of each, as soon as it ends."""


class Work(Protocol):
    """One worker's side: made in its own process, then given tasks: one, or several that share a batch."""

    def ready(self) -> Json:
        """What it works with. Raises `PerfusionError` when it cannot work."""
        ...

    def do(self, tasks: Sequence[Task], tell: Tell) -> Ends:
        """Do them all: one that fails, with a `PerfusionError` where it cannot be done, ends alone."""
        ...


class Setup(Protocol):
    """Makes a worker's `Work`, in the worker's process. Can be pickled."""

    def work(self) -> Work: ...


class Pool(Protocol):
    """Workers, each known by a number. Only the driver's thread uses it."""

    def grow(self, setup: Setup, count: int) -> None:
        """Start `count` more workers; those revived later are made from this setup too."""
        ...

    def submit(self, worker: int, tasks: Sequence[Task]) -> None:
        """Hand tasks to a worker that waits for some."""
        ...

    def wait(self, seconds: float) -> Sequence[tuple[int, Message]]:
        """What workers have said, as soon as one has said something, or after `seconds`."""
        ...

    def revive(self, worker: int) -> None:
        """Start a worker anew; what is left of it is ended."""
        ...

    def retire(self, worker: int) -> None:
        """End a worker for good."""
        ...

    def close(self) -> None:
        """End all workers."""
        ...
