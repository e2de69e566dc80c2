"""What every worker does, whatever carries its messages."""

from __future__ import annotations

import traceback
from collections.abc import Callable, Sequence
from contextlib import closing
from typing import TypeVar

from perfusion_core.errors import PerfusionError, first_line
from perfusion_core.fanout.tasks import Ends, Failed, Finished, Ready, Refused, Result, Setup, Task, Tell

T = TypeVar("T")

LONGEST_DETAILS = 4000  # characters


def serve(setup: Setup, receive: Callable[[], Sequence[Task] | None], tell: Tell) -> None:
    """Do tasks until there are none (None), or one failed in a way that leaves this process in doubt."""
    try:
        work = setup.work()
        facts = work.ready()
    except PerfusionError as error:
        tell(Refused(str(error)))
        return
    tell(Ready(facts))
    while (tasks := receive()) is not None:
        with closing(work.do(tasks, tell)) as ends:
            for label, came in ends:
                last = _message(label, came)
                tell(last)
                if isinstance(last, Failed) and last.details:
                    return  # a graphics card may stay in error; the driver starts another process


def one_by_one(tasks: Sequence[Task], do: Callable[[Task], Result]) -> Ends:
    """`Work.do` for tasks that share nothing."""
    for task in tasks:
        yield task.label, attempt(lambda task=task: do(task))


def attempt(do: Callable[[], T]) -> T | Exception:
    """What `do` returns, or the exception that it raises."""
    try:
        return do()
    except Exception as error:
        return error


def _message(label: str, came: Result | Exception) -> Finished | Failed:
    if isinstance(came, Result):
        return Finished(label, came)
    if isinstance(came, PerfusionError):
        return Failed(label, str(came))
    details = "".join(traceback.format_exception(came))[-LONGEST_DETAILS:]
    what = f"{type(came).__name__}: {first_line(came)}"
    return Failed(label, f"Something unexpected went wrong ({what}).", details)
