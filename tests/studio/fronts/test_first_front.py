"""The front a teaching ends with."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from perfusion_core.studio.fronts.first_front import as_front, first_front
from perfusion_core.studio.jobs.store import JobStore
from perfusion_core.studio.library.library import Library


def test_the_front_of_a_taught_concept_can_be_looked_at_like_any_other(
    library: Library, loaded: Any, make_concept: Any, tmp_path: Path, settings: Any
) -> None:
    library.add(make_concept(loaded.base))
    kept = first_front(library, loaded, "biscuit", tmp_path / "front")
    job = JobStore(settings.jobs_folder).new("teach", "Teach", {})
    assert as_front(job) is None
    front = as_front(job.changed(result={"front": kept}))
    assert front is not None
    assert (front.id, front.kind, front.request["name"]) == (job.id, "front", "biscuit")
    assert len(front.result["paths"]) == len(front.result["biases"]) == 7
    assert all(Path(path).is_file() for path in front.result["paths"])


def test_a_front_without_images_is_none(settings: Any) -> None:
    assert as_front(JobStore(settings.jobs_folder).new("front", "Front", {})) is None
