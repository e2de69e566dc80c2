"""Keeping what is chosen on the settings page."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import gradio as gr

from perfusion_core.errors import PerfusionError
from perfusion_core.studio.settings import chosen_folder, prefer
from perfusion_core.ui.event_options import QUIET, Updates
from perfusion_core.ui.field_values import LONGEST_PATH, bounded
from perfusion_core.ui.html import note
from perfusion_core.ui.settings import lan_access
from perfusion_core.ui.settings.room import SettingsRoom, nearest

if TYPE_CHECKING:
    from perfusion_core.studio.app import Studio


def listen(room: SettingsRoom, studio: Studio, demo: gr.Blocks) -> None:
    home = studio.settings.home

    def save(models: str | None, outputs: str | None, memory: float) -> Updates:
        try:
            models_dir = typed_folder(models, home / "models", "models", home)
            outputs_dir = typed_folder(outputs, home / "outputs", "pictures", home)
            prefer(
                home,
                models="" if models_dir == home / "models" else str(models_dir),
                outputs="" if outputs_dir == home / "outputs" else str(outputs_dir),
                memory=float(memory or 0),
            )
        except PerfusionError as error:
            return {room.said: note(str(error), "problem")}
        studio.change(models_dir=models_dir, outputs=outputs_dir, memory=memory or None)
        return {
            room.models: str(models_dir),
            room.outputs: str(outputs_dir),
            room.said: note("Saved. Applies to new jobs.", "good"),
        }

    def current() -> Updates:
        """What is set now, for a page that is opened later."""
        now = studio.settings
        return {
            room.models: str(now.models_folder),
            room.outputs: str(now.outputs),
            room.memory: nearest(now.memory),
            room.lan.said: lan_access.state(studio),
        }

    room.apply.click(
        save, [room.models, room.outputs, room.memory], [room.models, room.outputs, room.said], **QUIET
    )
    room.look.input(None, room.look, None, js="(name) => window.perfusionTheme.choose(name)", **QUIET)
    demo.load(current, None, [room.models, room.outputs, room.memory, room.lan.said], **QUIET)
    demo.load(None, None, room.look, js="() => window.perfusionTheme.chosen()", **QUIET)
    lan_access.listen(room.lan, studio)


def typed_folder(text: str | None, default: Path, what: str, home: Path) -> Path:
    """The folder a person typed, or `default` for nothing; see `chosen_folder`. Raises `PerfusionError`
    saying why not.
    """
    typed = bounded(text, LONGEST_PATH, f"The folder for {what}")
    return default if typed in ("", str(default)) else chosen_folder(typed, what, home)
