"""Several runs on one device, whose steps share the denoiser's passes.

The base is frozen and the edit is a vector a row, so that one batch can hold the examples of several
concepts. Each run keeps its own draws, gradients, optimizer, checkpoints and scores: `trainer.py` does not
know of the others. What differs from a run alone is only the order in which a larger batch adds its numbers.
"""

from __future__ import annotations

import traceback
from collections.abc import Callable, Generator, Iterable, Sequence
from contextlib import closing
from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING, Any, TypeVar

from perfusion_core.errors import TrainingError
from perfusion_core.model.device_memory import is_out_of_memory, release_memory
from perfusion_core.training.step import PendingStep, gather_gradients
from perfusion_core.training.trainer import events_and_steps

if TYPE_CHECKING:
    from perfusion_core.concept import Concept
    from perfusion_core.model.base import Base
    from perfusion_core.model.statistics import CovarianceStats
    from perfusion_core.training.events import TrainEvent
    from perfusion_core.training.task import TrainingTask

Result = TypeVar("Result")
Course = Generator[PendingStep, None, Result]
"""A run that gives out each optimizer step to be gathered, and in the end returns its result."""


@dataclass(frozen=True)
class Outcome:
    """How a run ended: with a concept, with an error, or, when it was stopped, with neither."""

    concept: Concept | None = None
    error: Exception | None = None


def train_together(
    base: Base,
    tasks: Iterable[TrainingTask],
    *,
    covariance: CovarianceStats,
    together: int,
    listen: Callable[[int, TrainEvent], None] = lambda number, event: None,
) -> Generator[tuple[int, Outcome], None, None]:
    """Train the concepts of all `tasks`, at most `together` of them at a time in one batch.

    Yields each task's number (from 0, in the order given) and outcome when it ends; then the next task is
    taken from `tasks` in its place. `listen` is called with the number and every event, as `train` yields
    them. Tasks may differ in everything; those that differ in resolution, precision or gradient checkpointing
    take turns instead of sharing a pass. Memory grows with the examples of a pass, `together` times
    `batch_size`; where it runs out, fewer concepts share one from then on.

    A task that fails ends alone, with whatever exception `train` would have raised. Stopping, resuming and
    checkpoints are each run's own. An error of `listen` or `tasks` ends all; what is in the checkpoints can
    be resumed. Raises TrainingError when `together` is below 1.
    """

    def run(number: int, task: TrainingTask) -> Course[Outcome]:
        concept = None
        with closing(events_and_steps(base, task, covariance)) as running:
            while True:
                try:
                    item = next(running, None)
                except Exception as error:
                    return Outcome(error=error)
                if isinstance(item, PendingStep):
                    yield item
                elif item is None:
                    return Outcome(concept)
                else:
                    concept = item.concept if item.kind == "done" else None
                    listen(number, item)

    return interleaved((run(number, task) for number, task in enumerate(tasks)), together)


def interleaved(
    courses: Iterable[Course[Result]], together: int
) -> Generator[tuple[int, Result], None, None]:
    """Advance at most `together` courses in turn, so that the steps of one turn share the denoiser's passes.

    Yields each course's number and result when it ends. An exception of a course ends all of them.
    """
    if together < 1:
        raise TrainingError(f"together is {together}; choose how many concepts share a batch, from 1.")
    waiting, running = enumerate(courses), dict[int, Course[Result]]()
    sharing = _Sharing(together)
    try:
        while True:
            due: list[PendingStep] = []
            for number, course in chain(tuple(running.items()), waiting):
                running[number] = course
                try:
                    due.append(next(course))
                except StopIteration as end:
                    del running[number]
                    yield number, end.value
                if len(due) == together:
                    break
            if not due:
                return
            sharing.gather(due)
    finally:
        for course in running.values():
            course.close()


def contained(course: Course[Result]) -> Course[Result | Exception]:
    """A course whose exception is its result, so that it ends alone."""
    try:
        return (yield from course)
    except Exception as error:
        return error


def alone(course: Course[Result]) -> Result:
    """The result of one course, without others."""
    ((_, result),) = interleaved([course], 1)
    return result


class _Sharing:
    """Gathers the gradients of steps, those of one form in one pass, as far as memory allows."""

    def __init__(self, most: int) -> None:
        self._most = most

    def gather(self, steps: Sequence[PendingStep]) -> None:
        by_form: dict[Any, list[PendingStep]] = {}
        for step in steps:
            by_form.setdefault(step.form, []).append(step)
        for alike in by_form.values():
            self._gather_alike(alike)

    def _gather_alike(self, steps: Sequence[PendingStep]) -> None:
        for group in _groups(steps, self._most):
            gather_gradients(group)
            failure = group[0].failure
            if failure is None or len(group) == 1:
                continue
            half = (len(group) + 1) // 2
            if is_out_of_memory(failure):
                self._most = half
            # Whoever the failure belongs to: in halves, and in the end alone, the others go on.
            traceback.clear_frames(failure.__traceback__)  # the failed pass's tensors hang on its frames
            for step in group:
                step.forget()
            del failure
            release_memory()
            for part in _groups(group, half):
                self._gather_alike(part)


def _groups(steps: Sequence[PendingStep], size: int) -> list[Sequence[PendingStep]]:
    return [steps[start : start + size] for start in range(0, len(steps), size)]
