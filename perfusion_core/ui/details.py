"""What a concept's panel says about it: base, scores, and how it was taught."""

from __future__ import annotations

from typing import TYPE_CHECKING

from perfusion_core.ui.cards import picture
from perfusion_core.ui.words import escape, size

if TYPE_CHECKING:
    from perfusion_core.studio.app import Studio
    from perfusion_core.studio.library import LibraryEntry
    from perfusion_core.ui.served import Served

# The settings worth a line, in this order; the rest is in the file.
SETTINGS = {"steps": "Steps", "batch_size": "Photos a step", "keys": "Keys", "flip": "Mirrored photos", "seed": "Seed"}
SCORES = {"image": "Like the photos", "text": "Like the prompt", "step": "Chosen at step"}


def details(entry: LibraryEntry, studio: Studio, served: Served) -> str:
    """HTML; everything in it that came from the file is escaped."""
    facts = entry.metadata
    rows = [("A kind of", facts.superclass), ("Base model", facts.base), ("File", size(entry.size)), ("Taught", facts.created_at[:16].replace("T", " "))]
    rows += [(f"Setting, {lock} lock", f"gate bias {bias:.2f}") for lock, bias in sorted(facts.bias.items(), reverse=True)]
    rows += [(word, f"{facts.scores[key]:.3f}".rstrip("0").rstrip(".")) for key, word in SCORES.items() if key in facts.scores]
    rows += [(word, str(facts.recipe[key])) for key, word in SETTINGS.items() if key in facts.recipe]
    warning = _another_base(entry, studio)
    lines = "".join(f"<div><dt>{escape(word)}</dt><dd>{escape(value)}</dd></div>" for word, value in rows)
    return (
        f'<div class="detail-head">{picture(entry, served)}<div><h3>&lt;{escape(entry.name)}&gt;</h3>{warning}</div></div>'
        f'<dl class="facts">{lines}</dl>'
    )


def _another_base(entry: LibraryEntry, studio: Studio) -> str:
    base = studio.base
    if base is None or base.fingerprint == entry.metadata.base_fingerprint:
        return ""
    return (
        f'<p class="quiet">Taught on {escape(entry.metadata.base)}; the base model in use is '
        f"{escape(base.id)}. It may look different, or not fit.</p>"
    )
