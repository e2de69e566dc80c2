"""The library as chips that write a concept into the prompt, and the prompt of a first visit."""

from __future__ import annotations

from typing import TYPE_CHECKING

from perfusion_core.sampling.request import LONGEST_PROMPT
from perfusion_core.studio.creating.mentions import fixed, mentioned
from perfusion_core.ui.base_choice import made_for_another
from perfusion_core.ui.concept_image import concept_image
from perfusion_core.ui.html import escape, notes

if TYPE_CHECKING:
    from perfusion_core.studio.app import Studio
    from perfusion_core.studio.library.library import LibraryEntry
    from perfusion_core.ui.served import Served


def mentions_of(prompt: str | None, names: list[str]) -> list[tuple[str, str]]:
    """The concepts in a prompt, in its order, each with the number written for it there; "" without one.

    Of a prompt over the limit only the beginning is read: Create refuses it, and typing stays quick.
    """
    text = (prompt or "")[:LONGEST_PROMPT]
    written = fixed(text, names)
    return [(name, written.get(name, "")) for name in mentioned(text, names)]


def chips(studio: Studio, served: Served, prompt: str | None) -> str:
    """The library as buttons that write a concept into the prompt."""
    entries = studio.library.entries()
    if not entries:
        return (
            '<p class="quiet">No concepts yet. <button type="button" class="link" data-room="teach">Teach '
            "one</button> from a few photos; until then the prompt works on its own.</p>"
        )
    there = {name for name, _ in mentions_of(prompt, [entry.name for entry in entries])}
    foreign = {entry.name: made_for_another(studio, entry) for entry in entries}
    return "".join(
        _chip(entry, served, entry.name in there, foreign[entry.name]) for entry in entries
    ) + notes([foreign[name] for name in foreign if name in there and foreign[name]])


def _chip(entry: LibraryEntry, served: Served, there: bool, foreign: str) -> str:
    return (
        f'<button type="button" class="chip{" chip-foreign" if foreign else ""}" '
        f'data-name="{escape(entry.name)}" aria-pressed="{str(there).lower()}" '
        f'title="{escape(foreign or f"Put <{entry.name}> into the prompt")}">'
        f"{concept_image(entry, served)}{escape(entry.name)}</button>"
    )


def first_prompt(names: list[str]) -> str:
    """The prompt of a first visit: one concept, at a place where it was hardly photographed.

    With article and place, as captions have them. Not two together, which is what small bases draw worst.
    """
    return f"a photo of a {f'<{names[0]}>' if names else 'dog'} on the beach"
