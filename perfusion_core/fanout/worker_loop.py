"""What every worker does, whatever carries its messages."""

from __future__ import annotations

import traceback
from collections.abc import Callable

from perfusion_core.errors import PerfusionError, first_line
from perfusion_core.fanout.tasks import Failed, Finished, Ready, Refused, Setup, Task, Tell, Work

LONGEST_DETAILS = 4000  # characters


def serve(setup: Setup, receive: Callable[[], Task | None], tell: Tell) -> None:
    """Do tasks until there is none (None), or one failed in a way that leaves this process in doubt."""
    try:
        work = setup.work()
        facts = work.ready()
    except PerfusionError as error:
        tell(Refused(str(error)))
        return
    tell(Ready(facts))
    while (task := receive()) is not None:
        last = _done(work, task, tell)
        tell(last)
        if isinstance(last, Failed) and last.details:
            return  # a graphics card may stay in error; the driver starts another process


def _done(work: Work, task: Task, tell: Tell) -> Finished | Failed:
    try:
        return Finished(task.label, work.do(task, tell))
    except PerfusionError as error:
        return Failed(task.label, str(error))
    except Exception as error:
        details = traceback.format_exc()[-LONGEST_DETAILS:]
        what = f"{type(error).__name__}: {first_line(error)}"
        return Failed(task.label, f"Something unexpected went wrong ({what}).", details)
