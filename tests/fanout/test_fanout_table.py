"""The live table's numbers, from a driver's events."""

from __future__ import annotations

import io
import sys

import pytest

from perfusion_core.cli import fanout_table
from perfusion_core.cli.fanout_table import FanoutTable


def told(*events: tuple[str, str, int | None]) -> FanoutTable:
    table = FanoutTable("Teaching")
    table.listen({"event": "begun", "total": 6, "done": 1})
    rest = {"resumed": False, "stage": "Teaching", "reason": "r"}
    for kind, label, worker in events:
        table.listen({"event": kind, "label": label, "worker": worker, **rest})
    return table


def running(table: FanoutTable) -> str:
    return table.summary().split(", ")[1]


def test_several_tasks_of_one_worker_are_several_rows() -> None:
    table = told(("started", "a", 0), ("started", "b", 0), ("progress", "a", 0))
    assert running(table) == "2 running"
    table.listen({"event": "done", "label": "a", "worker": 0})
    assert running(table) == "1 running"
    assert table.summary().startswith("2 of 6 done")


def test_a_task_that_failed_runs_no_longer() -> None:
    table = told(("started", "a", 0), ("started", "b", 0), ("failed", "a", None))
    assert running(table) == "1 running"
    assert "1 failed" in table.summary()


@pytest.mark.parametrize("kind", ["worker died", "worker refused", "worker doubted"])
def test_a_worker_that_is_gone_has_no_rows(kind: str) -> None:
    table = told(("started", "a", 0), ("started", "b", 1), ("started", "c", 0))
    table.listen({"event": kind, "worker": 0, "reason": "r"})
    assert running(table) == "1 running"


def test_rate_and_time_left_count_this_run_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [100.0]
    monkeypatch.setattr(fanout_table.time, "monotonic", lambda: now[0])
    table = told(("started", "a", 0))
    assert "an hour" not in table.summary()
    now[0] += 90.0
    table.listen({"event": "done", "label": "a", "worker": 0})
    assert table.summary() == "2 of 6 done, 0 running, 40 an hour, 6:00 left"
    now[0] += 90.0
    table.listen({"event": "failed", "label": "b", "worker": None, "reason": "r"})
    assert table.summary() == "2 of 6 done, 0 running, 1 failed, 40 an hour, 4:30 left"


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_terminal_gets_a_row_for_every_running_task(monkeypatch: pytest.MonkeyPatch) -> None:
    screen = Terminal()
    monkeypatch.setattr(sys, "stderr", screen)
    with told(("started", "a", 0), ("started", "b", 1)) as table:
        step = {"step": 3, "total": 9, "loss": 0.25, "eta": 65.0}
        table.listen({"event": "progress", "label": "b", "worker": 1, **step})
    shown = screen.getvalue()
    assert "a  begins" in shown
    assert "b  step 3/9  loss 0.2500  1:05 left" in shown
    assert "1 of 6 done, 2 running" in shown
