"""The live table's numbers, from a driver's events."""

from __future__ import annotations

import pytest

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
