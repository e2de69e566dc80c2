"""The prompt, and the chips that write a concept into it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import gradio as gr

from perfusion_core.studio.creating.mentions import with_mention
from perfusion_core.ui.create.concept_chips import chips, first_prompt, mentions_of
from perfusion_core.ui.event_options import QUIET, Updates

if TYPE_CHECKING:
    from perfusion_core.studio.app import Studio
    from perfusion_core.ui.create.room import CreateRoom
    from perfusion_core.ui.served import Served


def listen(
    room: CreateRoom, studio: Studio, served: Served, demo: gr.Blocks, tab: gr.Tab, machine: gr.HTML
) -> None:
    """`tab` is Create's own; `machine` changes when another base model has been loaded."""

    def names() -> list[str]:
        return [entry.name for entry in studio.library.entries()]

    def read(prompt: str | None) -> Updates:
        return {room.chips: chips(studio, served, prompt), room.mentions: mentions_of(prompt, names())}

    def write(prompt: str | None, event: gr.EventData) -> Updates:
        text = with_mention(prompt or "", str(event.name))
        return {room.prompt: text, **read(text)}

    def opening(prompt: str | None) -> Updates:
        text = prompt or first_prompt(names())
        return {room.prompt: text, **read(text)}

    seen = [room.chips, room.mentions]
    # Queued, all of them: outside the queue Gradio does not tell the page that a State has changed. One at a
    # time, so that the last one counts.
    in_turn: dict[str, Any] = {**QUIET, "concurrency_id": "prompt", "concurrency_limit": 1}
    demo.load(opening, room.prompt, [room.prompt, *seen], **in_turn)
    tab.select(read, room.prompt, seen, **in_turn)
    room.prompt.change(read, room.prompt, seen, trigger_mode="always_last", **in_turn)
    room.chips.click(write, room.prompt, [room.prompt, *seen], **in_turn)
    machine.change(read, room.prompt, seen, **in_turn)
