"""A grid of concept cards that can be chosen with a click or from the keyboard."""

from __future__ import annotations

import gradio as gr

from perfusion_core.studio.library.library import Library, LibraryEntry
from perfusion_core.ui.concept_image import concept_image
from perfusion_core.ui.html import escape, size
from perfusion_core.ui.served import Served

# The chosen card's name goes to Python; the mark on it is set at once, without waiting for the answer.
PICK = """
element.addEventListener('click', (event) => {
  const card = event.target.closest('[data-name]');
  if (!card) return;
  for (const other of element.querySelectorAll('[data-name]')) {
    other.setAttribute('aria-pressed', other === card);
  }
  trigger('click', {name: card.dataset.name});
});
"""


def card_grid(html: str, elem_id: str) -> gr.HTML:
    return gr.HTML(html, elem_id=elem_id, js_on_load=PICK)


def cards(library: Library, served: Served, chosen: str = "") -> str:
    """Every concept as a card; an invitation when there is none."""
    entries = library.entries()
    if not entries:
        return (
            '<div class="empty"><p class="strong">No concepts yet</p><p class="quiet">Teach one from a few '
            'photos, or import a concept file.</p><button type="button" class="small" data-room="teach">'
            "Go to Teach</button></div>"
        )
    return (
        f'<div class="cards">{"".join(_card(entry, served, entry.name == chosen) for entry in entries)}</div>'
    )


def _card(entry: LibraryEntry, served: Served, chosen: bool) -> str:
    facts = entry.metadata
    scores = " · ".join(
        f"{word} {facts.scores[key]:.2f}"
        for key, word in (("image", "photos"), ("text", "prompt"))
        if key in facts.scores
    )
    return (
        f'<button type="button" class="concept" data-name="{escape(entry.name)}" '
        f'aria-pressed="{str(chosen).lower()}">'
        f"{concept_image(entry, served)}<span class='strong'>&lt;{escape(entry.name)}&gt;</span>"
        f'<span class="quiet">{escape(facts.superclass)} · {escape(facts.base)} · {size(entry.size)}</span>'
        f'<span class="quiet">{scores}</span></button>'
    )
