"""Teaching a concept once more: its photos, words and settings back in the form."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import gradio as gr

from perfusion_core.errors import PerfusionError
from perfusion_core.studio.teaching.run_folder import RunFolder
from perfusion_core.studio.teaching.staging import Look, Staged, staged_again, with_masks
from perfusion_core.ui.html import note
from perfusion_core.ui.teach import photo_edits
from perfusion_core.ui.teach.form import free_name
from perfusion_core.ui.teach.photo_strip import thumbnails

if TYPE_CHECKING:
    from perfusion_core.studio.app import Studio
    from perfusion_core.ui.served import Served
    from perfusion_core.ui.teach.room import TeachRoom


def targets(teach: TeachRoom, rooms: gr.Tabs) -> list[Any]:
    words = [teach.name, teach.kind, teach.pace, *teach.settings]
    return [rooms, teach.staged, teach.photos, teach.said, *photo_edits.table(teach.editor), *words]


def teach_again(studio: Studio, served: Served, name: str) -> list[Any]:
    """The form for a concept of the library, under a name that is free. Raises `PerfusionError`."""
    entry = studio.library.get(name)
    settings = entry.metadata.recipe
    mask = "none" if settings.get("mask") == "none" else "auto"
    staged: list[Staged] = []
    said = ""
    try:
        staged = staged_again(studio.staging, RunFolder(entry.folder))
        staged, remark = with_masks(studio.staging, staged, Look(entry.metadata.superclass, mask))
        said = note(remark)
    except PerfusionError as error:
        said = note(str(error), "problem")
    if not staged:
        said += note(f"<{entry.name}> came without its photos. Drop some; the settings are as they were.")
    return [
        gr.Tabs(selected="teach"),
        staged,
        thumbnails(staged, served),
        said,
        *photo_edits.cleared(),
        free_name(studio, entry.name),
        entry.metadata.superclass,
        "balanced",  # the steps say it
        int(settings.get("steps", 0)),
        bool(settings.get("flip", True)),
        mask,
        settings.get("keys") if settings.get("keys") in ("locked", "trained") else "locked",
        int(settings.get("seed", 0)),
    ]
