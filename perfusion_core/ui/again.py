"""Teaching a concept once more: its photos, words and settings back in the form."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import gradio as gr

from perfusion_core.errors import PerfusionError
from perfusion_core.studio.staging import stage
from perfusion_core.ui.teach_form import free_name, thumbnails
from perfusion_core.ui.words import note

if TYPE_CHECKING:
    from perfusion_core.studio.app import Studio
    from perfusion_core.ui.served import Served
    from perfusion_core.ui.teach import TeachRoom


def targets(teach: TeachRoom, rooms: gr.Tabs) -> list[Any]:
    return [rooms, teach.staged, teach.photos, teach.said, teach.name, teach.kind, *teach.settings]


def teach_again(studio: Studio, served: Served, name: str) -> list[Any]:
    """The form for a concept of the library, under a name that is free. Raises `PerfusionError`."""
    entry = studio.library.get(name)
    photos = sorted((entry.run / "photos").glob("*.png"))
    said = (
        ""
        if photos
        else note(f"<{entry.name}> came without its photos. Drop some; the settings are as they were.")
    )
    staged: list[Any] = []
    try:
        staged = stage(studio, photos) if photos else []
    except PerfusionError as error:
        said = note(str(error), "problem")
    settings = entry.metadata.recipe
    return [
        gr.Tabs(selected="teach"),
        staged,
        thumbnails(staged, served),
        said,
        free_name(studio, entry.name),
        entry.metadata.superclass,
        int(settings.get("steps", 0)),
        bool(settings.get("flip", True)),
        settings.get("mask") if settings.get("mask") in ("auto", "none") else "auto",
        settings.get("keys") if settings.get("keys") in ("locked", "trained") else "locked",
        int(settings.get("seed", 0)),
    ]
