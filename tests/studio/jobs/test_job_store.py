"""The records of jobs and their events as files."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from perfusion_core.studio.jobs.store import HISTORY, JobStore


@pytest.fixture
def store(tmp_path: Path) -> JobStore:
    return JobStore(tmp_path / "jobs")


def test_the_history_is_bounded_but_what_can_be_resumed_stays(tmp_path: Path) -> None:
    store = JobStore(tmp_path / "jobs")
    store.own()
    stopped = store.save(store.new("teach", "half a dog", {}).changed(state="stopped"))
    waiting = store.new("generate", "waits", {})
    for k in range(12):
        store.save(store.new("generate", f"job {k}", {}).changed(state="done"))
    store.prune(keep=10)
    titles = [job.title for job in store.all()]
    assert titles == ["half a dog", "waits", *(f"job {k}" for k in range(2, 12))]
    assert [job.title for job in JobStore(store.root).all()] == titles
    assert {stopped.id, waiting.id} <= {path.name for path in store.root.iterdir()}
    assert len(list(store.root.iterdir())) == 12
    assert HISTORY >= 100


def test_events_are_read_once_and_a_line_in_the_making_is_read_when_it_is_whole(
    store: JobStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = store.new("teach", "a dog", {})
    for step in range(3):
        store.append(job.id, {"kind": "step", "step": step})
    assert [event["step"] for event in store.events(job.id)] == [0, 1, 2]
    log = store.folder(job.id) / "events.jsonl"
    with log.open("ab") as file:
        file.write(b'{"kind": "step", "st')
    assert len(store.events(job.id)) == 3
    with log.open("ab") as file:
        file.write(b'ep": 3}')
    assert [event["step"] for event in store.events(job.id)] == [0, 1, 2, 3]
    store.append(job.id, {"kind": "step", "step": 4})
    parsed: list[Any] = []
    real = json.loads
    monkeypatch.setattr(json, "loads", lambda text: parsed.append(text) or real(text))
    assert [event["step"] for event in store.events(job.id)] == [0, 1, 2, 3, 4]
    assert len(parsed) == 2  # the two new lines


def test_jobs_and_their_events_are_the_users_alone(store: JobStore) -> None:
    job = store.new("generate", "a secret prompt", {})
    store.append(job.id, {"kind": "step"})
    modes = {path.name: path.stat().st_mode & 0o777 for path in (store.root, *store.root.rglob("*"))}
    assert modes == {"jobs": 0o700, job.id: 0o700, "job.json": 0o600, "events.jsonl": 0o600}
