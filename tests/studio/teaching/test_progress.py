"""A teaching's progress from its files."""

from __future__ import annotations

from typing import Any

import pytest

from perfusion_core.studio.app import Studio
from perfusion_core.studio.jobs.store import JobStore
from perfusion_core.studio.teaching.progress import latest_teaching, smoothed, teach_progress


@pytest.fixture
def studio(settings: Any) -> Studio:
    return Studio(settings)


def test_the_card_of_a_teaching_is_made_from_its_events_alone(studio: Studio) -> None:
    store = JobStore(studio.settings.jobs_folder)
    job = store.new("teach", "Teach <rex>", {"name": "<rex>", "folder": "/nowhere"})
    for event in (
        {"kind": "stage", "text": "Teaching"},
        {"kind": "step", "step": 1, "total": 4, "loss": 0.5, "seconds": 2.0, "eta": 6.0},
        {"kind": "step", "step": 2, "total": 4, "loss": 0.4, "seconds": 4.0, "eta": 4.0},
        {"kind": "score", "step": 2, "total": 4, "image": 0.7, "text": 0.2, "seconds": 4.0},
        {"kind": "preview", "step": 2, "total": 4, "previews": ["/a.png"], "seconds": 4.0},
        {"kind": "warning", "text": "dark"},
        {"kind": "warning", "text": "dark"},
    ):
        store.append(job.id, event)
    now = teach_progress(studio.store, job)
    assert (now.name, now.step, now.total, now.seconds_a_step) == ("rex", 2, 4, 2.0)
    assert now.losses == {1: 0.5, 2: 0.4}
    assert [(point.image, point.text) for point in now.scores] == [(0.7, 0.2)]
    assert list(now.previews) == [2]
    assert now.warnings == ["dark"]


def test_how_much_of_a_stage_is_done_counts_for_that_stage_alone(studio: Studio) -> None:
    store = JobStore(studio.settings.jobs_folder)
    job = store.new("teach", "Teach <rex>", {"name": "<rex>", "folder": "/nowhere"})
    store.append(job.id, {"kind": "stage", "text": "Reading captions 640 of 5000", "part": 0.128})
    now = teach_progress(studio.store, job)
    assert (now.stage, now.part, now.total) == ("Reading captions 640 of 5000", 0.128, 0)
    store.append(job.id, {"kind": "stage", "text": "Teaching"})
    now = teach_progress(studio.store, job)
    assert (now.stage, now.part) == ("Teaching", 0.0)


def test_a_step_done_again_after_a_crash_counts_once(studio: Studio) -> None:
    store = JobStore(studio.settings.jobs_folder)
    job = store.new("teach", "Teach <rex>", {"name": "rex"})
    for loss in (0.9, 0.3):
        store.append(job.id, {"kind": "step", "step": 1, "total": 2, "loss": loss, "seconds": 1.0})
        store.append(
            job.id, {"kind": "score", "step": 1, "total": 2, "image": loss, "text": loss, "seconds": 1.0}
        )
    now = teach_progress(studio.store, job)
    assert now.losses == {1: 0.3}
    assert [point.image for point in now.scores] == [0.3]


def test_the_running_teaching_is_shown_before_a_later_one_that_waits(studio: Studio) -> None:
    store = JobStore(studio.settings.jobs_folder)
    assert latest_teaching(studio.store) is None
    running = store.save(store.new("teach", "a", {}).changed(state="running"))
    store.new("teach", "b", {})
    shown = latest_teaching(studio.store)
    assert shown is not None
    assert shown.id == running.id


def test_a_smoothed_constant_is_that_constant_from_the_first_step() -> None:
    assert smoothed({1: 2.0, 2: 2.0, 3: 2.0}) == [(1, 2.0), (2, 2.0), (3, pytest.approx(2.0))]
