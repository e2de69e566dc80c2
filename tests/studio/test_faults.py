"""Every write, sync and rename fails once: nothing acknowledged is lost and the program goes on."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tests.fault_sweep import jobs_scenario, library_scenario, sweep
from tests.teaching_sweep import teaching_scenario

EVERY = (
    7  # of the calls; a write has five, so each kind has its turn. `python -m benchmarks.faults` takes all
)


def test_no_fault_of_the_disk_loses_a_concept(tiny_base: Any, make_concept: Any) -> None:
    counts = sweep(
        "library", library_scenario(lambda name, seed: make_concept(tiny_base, name, seed=seed)), EVERY
    )
    print(counts)
    assert {"open", "write", "fsync", "replace", "mkdir"} <= set(counts.faults)


def test_no_fault_of_the_disk_loses_a_job_or_ends_the_worker() -> None:
    counts = sweep("jobs", jobs_scenario, EVERY)
    print(counts)
    assert {"open", "write", "fsync", "replace", "mkdir"} <= set(counts.faults)


def test_a_teaching_goes_on_to_the_same_concept_after_a_fault_of_the_disk(
    loaded: Any, photos: list[Path], make_concept: Any
) -> None:
    old = make_concept(loaded.base, "rex")
    counts = sweep("teaching", teaching_scenario(loaded, photos, old, []), 23, by_kind=True)
    print(counts)
    assert counts.faults.total() >= 3
