"""The prompt, the chips that write a concept into it, and the words that the base knows."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

import gradio as gr

from perfusion_core.studio.creating.mentions import with_mention
from perfusion_core.studio.creating.phrases import with_phrase, with_word
from perfusion_core.studio.word_check import usable_words
from perfusion_core.ui.create import word_help
from perfusion_core.ui.create.concept_chips import chips, first_prompt, mentions_of
from perfusion_core.ui.create.prompt_edits import PromptEdits
from perfusion_core.ui.event_options import AT_ONCE, EACH, QUIET, Updates

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

    def shown(prompt: str | None) -> Updates:
        return {room.chips: chips(studio, served, prompt), room.mentions: mentions_of(prompt, names())}

    def read(prompt: str | None, edits: PromptEdits) -> Updates:
        return {**shown(prompt), room.edits: edits.seen(prompt or "")}

    def wrote(prompt: str | None, edits: PromptEdits, change: Callable[[str], str]) -> Updates:
        """Change what a click meant, which the page may not have shown yet."""
        text = change(edits.meant(prompt or ""))
        return {room.prompt: text, **shown(text), room.edits: edits.written(prompt or "", text)}

    def write(prompt: str | None, edits: PromptEdits, event: gr.EventData) -> Updates:
        return wrote(prompt, edits, lambda text: with_mention(text, str(event.name)))

    def put_in(prompt: str | None, edits: PromptEdits, event: gr.EventData) -> Updates:
        """Write a phrase that the base knows into the prompt."""
        known = usable_words(studio.settings)
        if known is None:
            return read(prompt, edits)
        return wrote(prompt, edits, lambda text: with_phrase(text, known, str(event.phrase)))

    def exchange(prompt: str | None, edits: PromptEdits, event: gr.EventData) -> Updates:
        """Write the word that was probably meant in place of one that the base does not know."""
        found = wrote(prompt, edits, lambda text: with_word(text, str(event.word), str(event.instead)))
        return {**found, room.doubt: word_help.doubts(studio, found[room.prompt])}

    def knows(prompt: str | None) -> Updates:
        return {room.words: word_help.panel(studio), room.doubt: word_help.doubts(studio, prompt)}

    def opening(prompt: str | None) -> Updates:
        text = prompt or first_prompt(names())
        return {room.prompt: text, **shown(text)}

    seen = [room.chips, room.mentions, room.edits]
    asked = [room.prompt, room.edits]
    # Queued, all of them: outside the queue Gradio does not tell the page that a State has changed. One at a
    # time, so that the last one counts.
    in_turn: dict[str, Any] = {**QUIET, "concurrency_id": "prompt", "concurrency_limit": 1}
    demo.load(opening, room.prompt, [room.prompt, *seen], **in_turn)
    tab.select(read, asked, seen, **in_turn)
    room.prompt.change(read, asked, seen, trigger_mode="always_last", **in_turn)
    room.chips.click(write, asked, [room.prompt, *seen], **in_turn, **EACH)
    machine.change(read, asked, seen, **in_turn)
    room.words.click(put_in, asked, [room.prompt, *seen], **in_turn, **EACH)
    room.doubt.click(exchange, asked, [room.prompt, room.doubt, *seen], **in_turn, **EACH)
    room.prompt.change(None, None, None, js=word_help.PROMPT_CHANGED, **QUIET)
    room.doubt.submit(partial(word_help.doubts, studio), room.prompt, room.doubt, **AT_ONCE)
    for event in (demo.load, machine.change):
        event(knows, room.prompt, [room.words, room.doubt], **AT_ONCE)
