"""The field for the kind of thing: its suggestions follow the base in use."""

from __future__ import annotations

from typing import TYPE_CHECKING

import gradio as gr

from perfusion_core.ui.choice_list import choice_list
from perfusion_core.ui.event_options import QUIET, Updates
from perfusion_core.ui.teach.superclass_check import suggestions, superclass_check

if TYPE_CHECKING:
    from perfusion_core.studio.app import Studio
    from perfusion_core.ui.teach.room import TeachRoom


def listen(room: TeachRoom, studio: Studio, demo: gr.Blocks, machine: gr.HTML) -> None:
    """`machine` changes when another base model has been loaded."""

    def suggest(kind: str | None) -> Updates:
        return {
            room.kind: choice_list(suggestions(studio)),
            room.check: superclass_check(studio, (kind or "").strip()),
        }

    for event in (demo.load, machine.change):
        event(suggest, room.kind, [room.kind, room.check], **QUIET)
