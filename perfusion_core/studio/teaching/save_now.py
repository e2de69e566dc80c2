"""Saving a run's best checkpoint as a concept while training continues."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from perfusion_core.concept import load_concept
from perfusion_core.errors import LibraryError
from perfusion_core.studio.library.thumbnails import read_card

if TYPE_CHECKING:
    from perfusion_core.studio.jobs.store import Job
    from perfusion_core.studio.library.library import Library, LibraryEntry


def save_now(library: Library, job: Job) -> LibraryEntry:
    """Save a run's best checkpoint as the concept `<name>-so-far`. Raises `LibraryError`."""
    file = Path(str(job.request.get("folder", ""))) / "run" / "best.safetensors"
    if not file.is_file():
        raise LibraryError(
            "Nothing has been learned yet. Wait for the first checkpoint, or start the teaching."
        )
    concept = load_concept(file)
    name = library.free_name(concept.name, "-so-far")
    step = int(concept.metadata.scores.get("step", -1))
    preview = file.parent / "previews" / f"step-{step:04d}-0.png"
    return library.add(concept.with_metadata(name=name), thumbnail=read_card(preview))
