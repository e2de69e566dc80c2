"""One run over many tasks as every verb has it: a locked folder, a live table, a log, and an exit code."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from perfusion_core.cli.bars import note
from perfusion_core.cli.fanout_table import FanoutTable
from perfusion_core.cli.teach_verb import stop_on_interrupt
from perfusion_core.cli.workforce import Workforce, workforce
from perfusion_core.errors import PerfusionError
from perfusion_core.fanout.results_folder import ResultsFolder
from perfusion_core.fanout.run_log import RunLog
from perfusion_core.fanout.teach_all import Finding, run_planned, start
from perfusion_core.studio.jobs.worker import owner_lock

if TYPE_CHECKING:
    import argparse

    from perfusion_core.fanout.list_file import Problem
    from perfusion_core.fanout.loaded_base import BaseFacts
    from perfusion_core.fanout.tasks import Json, Planned
    from perfusion_core.studio.settings import Settings

SOME_FAILED, INTERRUPTED = 1, 130
STOPPING = "Stopping; checkpoints are kept, and the same command goes on from them …"
BUSY = "Another run is writing into {home}. Wait for it to end, or choose another folder with --out."


def require_sound(path: Path, lines: int, problems: Sequence[Problem]) -> None:
    """Name every bad line, and raise `PerfusionError` when there is one."""
    for problem in problems:
        note(f"{path.name}, {problem}")
    if problems:
        raise PerfusionError(
            f"{len(problems)} of {lines + len(problems)} lines of {path} cannot be used, so nothing was "
            "started. Correct or delete them."
        )


def run_tasks(
    settings: Settings,
    options: argparse.Namespace,
    what: str,
    out: Path,
    setup_of: Callable[[Workforce], Any],
    plan: Callable[[BaseFacts], list[Planned]],
    *,
    together: int = 1,
) -> Finding:
    """Do what is not done yet into `out`, up to `together` tasks in one batch. `what` is written before the
    table.

    Raises `PerfusionError` when that cannot begin or go on.
    """
    results = ResultsFolder(out)
    results.prepare()
    with owner_lock(out, BUSY), stop_on_interrupt(STOPPING) as stop, FanoutTable(what) as table:
        log = RunLog(results)

        def listen(event: Json) -> None:
            log.write(event)
            table.listen(event)

        with workforce(settings, options) as force:
            note("Loading the base model …")
            started = start(force.pool, setup_of(force), listen, stop.is_set)
            if started is None:
                return Finding({}, {}, stopped=True)
            facts, setup = started
            planned, workers = plan(facts), force.workers
            found = run_planned(
                force.pool, setup, planned, results, workers, listen, stop.is_set, together=together
            )
        ended = {"event": "ended", "done": len(found.facts), "failed": len(found.failed)}
        log.write({**ended, "stopped": found.stopped, "time": time.time()})
    return found


def verdict(found: Finding, labels: Sequence[str]) -> int:
    """Tell what is missing, and the exit code: 0 when all is done, 1 when some failed, 130 when stopped."""
    if found.stopped:
        left = sum(label not in found.facts for label in labels)
        note(f"Stopped with {left} of {len(labels)} left. The same command goes on.")
        return INTERRUPTED
    for label, reason in found.failed.items():
        note(f"failed: {label}: {reason}")
    return 0 if found.complete(labels) else SOME_FAILED
