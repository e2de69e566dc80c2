"""Teaching a whole manifest: what is left to do, doing it, and the report."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

from perfusion_core.errors import PerfusionError
from perfusion_core.fanout.content_key import batch_form, teaching_key
from perfusion_core.fanout.driver import Driver, Listen, Outcome, first_ready
from perfusion_core.fanout.loaded_base import BaseFacts
from perfusion_core.fanout.manifest import Line
from perfusion_core.fanout.results_folder import ResultsFolder
from perfusion_core.fanout.tasks import (
    Died,
    Failed,
    Finished,
    Json,
    Kept,
    Planned,
    Pool,
    Result,
    Setup,
    Task,
)
from perfusion_core.fanout.teach_work import TeachPayload

MEASURED_STEPS = 3  # of the teaching that a dry run measures with: the first warms up


@dataclass(frozen=True)
class Item:
    """One concept of a run. `label` names its files: the concept's name, and in a sweep its combination."""

    label: str
    line: Line

    def payload(self) -> TeachPayload:
        """Reads the photos. Raises `PhotoError` when one is gone or no longer what it was."""
        from perfusion_core.training.photos import read_photo_files

        line = self.line
        contents = tuple(read_photo_files(line.photos))
        chosen: Any = {"mask": line.mask, "pace": line.pace}
        return TeachPayload(line.name, line.superclass, contents, settings=dict(line.settings), **chosen)


class SharingSetup(Setup, Protocol):
    def sharing(self, facts: Any) -> Setup: ...


@dataclass
class Finding:
    """What a run came to. facts: by label, of this run and of earlier ones; failed: reasons by label."""

    facts: dict[str, Json]
    failed: dict[str, str]
    stopped: bool = False
    skipped: int = 0

    def complete(self, labels: Sequence[str]) -> bool:
        return not self.stopped and all(label in self.facts for label in labels)


def start(
    pool: Pool, setup: SharingSetup, listen: Listen, should_stop: Callable[[], bool]
) -> tuple[BaseFacts, Setup] | None:
    """Start the first worker. Returns what it found out, and how the others are made; None when stopped."""
    ready = first_ready(pool, setup, listen, should_stop)
    if ready is None:
        return None
    facts: BaseFacts = ready["base"]
    return facts, setup.sharing(facts)


def planned_of(items: Sequence[Item], facts: BaseFacts) -> list[Planned]:
    """The items with their keys. Raises `TrainingError` for settings that do not go together."""
    return [
        Planned(item.label, teaching_key(item.line, facts), item.payload, batch_form(item.line, facts))
        for item in items
    ]


def run_planned(
    pool: Pool,
    setup: Setup,
    planned: Sequence[Planned],
    results: ResultsFolder,
    workers: int,
    listen: Listen,
    should_stop: Callable[[], bool],
    *,
    together: int = 1,
) -> Finding:
    """Do what is not done yet, with `workers` in all, of which the first is up already, and up to `together`
    tasks in one batch.
    """
    found = Finding({}, {})
    left: list[Planned] = []
    for one in planned:
        facts = results.done(one.label, one.key)
        if facts is None:
            left.append(one)
        else:
            found.facts[one.label] = facts
    found.skipped = len(planned) - len(left)
    listen({"event": "begun", "total": len(planned), "done": found.skipped, "time": time.time()})
    more = min(workers, len(left)) - 1
    if more > 0:
        pool.grow(setup, more)

    def kept(event: Json) -> None:
        listen(event)
        if event["event"] == "done":
            found.facts[event["label"]] = event

    outcome = Outcome()
    if left:
        driver = Driver(pool, results, kept, workers=[0], started=1 + max(0, more), together=together)
        outcome = driver.run(left, should_stop)
    found.failed, found.stopped = outcome.failed, outcome.stopped
    return found


def tried(pool: Pool, label: str, payload: Any, should_stop: Callable[[], bool]) -> tuple[Result, int] | None:
    """Let worker 0 do one task that is not kept. Returns its result and the bytes of its checkpoints; None
    when stopped. Raises `PerfusionError`.
    """
    pool.submit(0, [Task(label, payload)])
    kept = 0
    while not should_stop():
        for _, message in pool.wait(1.0):
            if isinstance(message, Kept):
                kept += sum(map(len, message.files.values()))
            elif isinstance(message, (Failed, Died)):
                raise PerfusionError(f"The first one, {label}, could not be tried: {message.reason}")
            elif isinstance(message, Finished):
                return message.result, kept
    return None


def measured(pool: Pool, item: Item, should_stop: Callable[[], bool]) -> Json | None:
    """Seconds that parts of a teaching take on worker 0, and bytes of its files, measured with few steps.

    "fixed" is what every concept costs beside its steps and checkpoints. None when stopped. Raises
    `PerfusionError`.
    """
    payload = item.payload()
    short = {**payload.settings, "steps": MEASURED_STEPS, "checkpoint_every": MEASURED_STEPS}
    found = tried(pool, item.label, replace(payload, settings=short), should_stop)
    if found is None:
        return None
    result, kept = found
    timing = result.facts["timing"]
    spent = MEASURED_STEPS * timing["step"] + 2 * timing["checkpoint"]
    return {
        "step": timing["step"],
        "checkpoint": timing["checkpoint"],
        "fixed": max(0.0, result.facts["seconds"] - spent),
        "bytes": sum(map(len, result.files.values())),
        "kept": kept,
    }
