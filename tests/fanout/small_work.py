"""Work that needs no model, for tests of what carries it: it can sleep, fail, keep a checkpoint and die."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from perfusion_core.errors import PerfusionError
from perfusion_core.fanout.tasks import Ends, Json, Kept, Progress, Result, Task, Tell
from perfusion_core.fanout.worker_loop import one_by_one


@dataclass(frozen=True)
class SmallSetup:
    """`refusal`: what it says instead of starting."""

    refusal: str = ""

    def work(self) -> SmallWork:
        if self.refusal:
            raise PerfusionError(self.refusal)
        return SmallWork()


class SmallWork:
    """A payload is a list of what to do in turn: a number to sleep for, or one of the words below."""

    def ready(self) -> Json:
        return {"pid": os.getpid()}

    def do(self, tasks: Sequence[Task], tell: Tell) -> Ends:
        return one_by_one(tasks, lambda task: self._done(task, tell))

    def _done(self, task: Task, tell: Tell) -> Result:
        tell(Progress(task.label, {"step": 0, "total": 1, "loss": None}))
        for number, what in enumerate(task.payload):
            if isinstance(what, float):
                time.sleep(what)
            elif what == "keep":
                tell(Kept(task.label, {"checkpoint": f"after {number}".encode()}))
            elif what == "refuse":
                raise PerfusionError("It cannot be done. Do something else.")
            elif what == "refuse resumed" and task.kept:
                raise PerfusionError("The checkpoint is damaged.")
            elif what == "break":
                raise ZeroDivisionError("a bug")
            elif what == "die" or (what == "die at first" and not task.kept):
                os.kill(os.getpid(), signal.SIGKILL)
        facts = {"pid": os.getpid(), "kept": {k: v.decode() for k, v in task.kept.items()}, "seconds": 0.1}
        return Result({f"concepts/{task.label}.txt": task.label.encode()}, facts)


def write(path: Path, text: str) -> Path:
    path.write_text(text, "utf-8")
    return path
