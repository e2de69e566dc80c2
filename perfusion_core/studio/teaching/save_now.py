"""Keeping what a teaching has learned so far, without ending it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from PIL import Image

from perfusion_core.concept import load_concept
from perfusion_core.concept_metadata import MAX_NAME_LENGTH
from perfusion_core.errors import LibraryError

if TYPE_CHECKING:
    from perfusion_core.library.library import Library, LibraryEntry
    from perfusion_core.studio.jobs.store import Job


def save_now(library: Library, job: Job) -> LibraryEntry:
    """The best checkpoint of a teaching as a concept of its own, called `<name>-so-far`. Raises
    `LibraryError`.
    """
    file = Path(str(job.request.get("folder", ""))) / "run" / "best.safetensors"
    if not file.is_file():
        raise LibraryError(
            "Nothing has been learned yet. Wait for the first checkpoint, or start the teaching."
        )
    concept = load_concept(file)
    taken = {entry.name for entry in library.entries()}
    stem = f"{concept.name[: MAX_NAME_LENGTH - 11]}-so-far"
    name, number = stem, 1
    while name in taken:
        number += 1
        name = f"{stem}-{number}"
    step = int(concept.metadata.scores.get("step", -1))
    preview = file.parent / "previews" / f"step-{step:04d}-0.png"
    if not preview.is_file():
        return library.add(concept.with_metadata(name=name))
    with Image.open(preview, formats=["PNG"]) as picture:
        return library.add(concept.with_metadata(name=name), thumbnail=picture)
