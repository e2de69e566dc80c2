"""Workers as processes: what they say arrives, and their death is noticed and survived."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from perfusion_core.errors import PerfusionError
from perfusion_core.fanout.driver import Driver, first_ready
from perfusion_core.fanout.local_pool import LocalPool
from perfusion_core.fanout.results_folder import ResultsFolder
from perfusion_core.fanout.tasks import Planned
from tests.fanout.small_work import SmallSetup


@pytest.fixture
def pool() -> Iterator[LocalPool]:
    made = LocalPool(threads=1)
    yield made
    made.close()


def test_processes_die_break_refuse_and_the_rest_is_done(pool: LocalPool, tmp_path: Path) -> None:
    events: list[dict[str, Any]] = []
    facts = first_ready(pool, SmallSetup(), events.append)
    assert facts is not None
    assert facts["pid"] == pool.pid(0) != os.getpid()
    pool.grow(SmallSetup(), 1)
    todo: dict[str, list[Any]] = {
        "plain": [0.1],
        "resumed": ["keep", "die at first"],
        "refused": ["refuse"],
        "broken": ["break"],
        "deadly": ["die"],
        "restarted": ["keep", "die at first", "refuse resumed"],
        "last": [],
    }
    results = ResultsFolder(tmp_path)
    planned = [Planned(label, label, lambda what=what: what) for label, what in todo.items()]
    outcome = Driver(pool, results, events.append, workers=[0], started=2).run(planned)
    assert sorted(outcome.done) == ["last", "plain", "resumed"]
    assert "ZeroDivisionError" in outcome.failed["broken"]
    assert outcome.failed["refused"] == "It cannot be done. Do something else."
    assert "killed by signal 9" in outcome.failed["deadly"]
    assert "ended 3 times" in outcome.failed["restarted"]  # without its checkpoint it dies again
    done = results.done("resumed", "resumed")
    assert done is not None
    assert done["kept"] == {"checkpoint": "after 0"}


def test_an_idle_process_that_is_killed_is_replaced(pool: LocalPool, tmp_path: Path) -> None:
    assert first_ready(pool, SmallSetup(), lambda event: None) is not None
    killed = pool.pid(0)
    os.kill(killed, signal.SIGKILL)
    driver = Driver(pool, ResultsFolder(tmp_path), lambda event: None, workers=[0], started=1)
    outcome = driver.run([Planned("a", "a", list)])
    assert outcome.done == ["a"]
    assert pool.pid(0) != killed


def test_why_a_worker_cannot_start_reaches_the_driver(pool: LocalPool) -> None:
    with pytest.raises(PerfusionError, match="There is no base"):
        first_ready(pool, SmallSetup("There is no base. Get one."), lambda event: None)


def test_closing_ends_every_process_even_at_work(tmp_path: Path) -> None:
    pool = LocalPool()
    assert first_ready(pool, SmallSetup(), lambda event: None) is not None
    pid = pool.pid(0)
    driver = Driver(pool, ResultsFolder(tmp_path), lambda event: None, workers=[0], started=1)
    asked = iter([False, True])
    assert driver.run([Planned("a", "a", lambda: [60.0])], lambda: next(asked)).stopped
    pool.close()
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)
