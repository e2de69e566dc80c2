"""Teaching a concept once more: its photos, words and settings back in the form."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import gradio as gr

from perfusion_core.errors import PerfusionError
from perfusion_core.studio.teaching.run_folder import RunFolder
from perfusion_core.studio.teaching.staging import Look, Staged, staged_again, with_masks
from perfusion_core.ui.event_options import Updates
from perfusion_core.ui.html import note
from perfusion_core.ui.teach import photo_edits
from perfusion_core.ui.teach.photo_strip import thumbnails
from perfusion_core.ui.teach.training_form import MIRRORED, MOST_STEPS, ONE_SIDED

if TYPE_CHECKING:
    from perfusion_core.studio.app import Studio
    from perfusion_core.ui.served import Served
    from perfusion_core.ui.teach.room import TeachRoom


def outputs(teach: TeachRoom, rooms: gr.Tabs) -> list[Any]:
    """The components that `teach_again` answers for."""
    words = [teach.name, teach.kind, teach.pace, *teach.form.components()]
    return [rooms, teach.staged, teach.photos, teach.said, *photo_edits.outputs(teach.editor), *words]


def teach_again(teach: TeachRoom, rooms: gr.Tabs, studio: Studio, served: Served, name: str) -> Updates:
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
    steps = int(settings.get("steps", 0))
    if steps > MOST_STEPS:
        said += note(f"<{entry.name}> was taught in {steps} steps. The form goes to {MOST_STEPS}.")
    return {
        rooms: gr.Tabs(selected="teach"),
        teach.staged: staged,
        teach.photos: thumbnails(staged, served),
        teach.said: said,
        **photo_edits.closed(teach.editor),
        teach.name: studio.library.free_name(entry.name),
        teach.kind: entry.metadata.superclass,
        teach.pace: "balanced",  # the steps below go before it
        teach.form.steps: min(max(steps, 0), MOST_STEPS),
        teach.form.flip: MIRRORED if settings.get("flip", True) else ONE_SIDED,
        teach.form.mask: mask,
        teach.form.keys: settings.get("keys") if settings.get("keys") in ("locked", "trained") else "locked",
        teach.form.seed: str(settings.get("seed", 0)),
    }
