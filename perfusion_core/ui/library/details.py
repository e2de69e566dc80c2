"""What a concept's panel says about it: base model, scores, and how it was taught."""

from __future__ import annotations

from typing import TYPE_CHECKING

from perfusion_core.ui.concept_image import concept_image
from perfusion_core.ui.html import escape, size

if TYPE_CHECKING:
    from pathlib import Path

    from perfusion_core.studio.app import Studio
    from perfusion_core.studio.library.library import LibraryEntry
    from perfusion_core.ui.served import Served

# The settings worth a line, in this order; the rest is in the file.
SETTINGS = {
    "steps": "Steps",
    "batch_size": "Photos a step",
    "keys": "Keys",
    "flip": "Mirrored photos",
    "seed": "Seed",
}
SCORES = {"image": "Like the photos", "text": "Like the prompt"}


def details(entry: LibraryEntry, studio: Studio, served: Served) -> str:
    """HTML; everything in it that came from the file is escaped."""
    facts = entry.metadata
    rows = [("A kind of", facts.superclass), ("Base model", facts.base), ("File", size(entry.size))]
    rows += [(word, f"{facts.scores[key]:.3f}") for key, word in SCORES.items() if key in facts.scores]
    rows += [
        (f"Setting, {lock} lock", f"gate bias {bias:.2f}")
        for lock, bias in sorted(facts.bias.items(), reverse=True)
    ]
    return (
        f'<div class="detail-head">{concept_image(entry, served)}<div><h3>&lt;{escape(entry.name)}&gt;</h3>'
        f"{_another_base(entry, studio)}</div></div>{_list(rows)}{_taught(entry, served)}"
    )


def _taught(entry: LibraryEntry, served: Served) -> str:
    """How the concept was taught, folded away: settings, training photos, previews of the chosen step."""
    facts = entry.metadata
    rows = [("When", facts.created_at[:16].replace("T", " "))]
    rows += [(word, _spoken(facts.recipe[key])) for key, word in SETTINGS.items() if key in facts.recipe]
    if "step" in facts.scores:
        rows.append(("Chosen at step", f"{facts.scores['step']:.0f}"))
    photos = _images(sorted((entry.run / "squares").glob("*.png")), "Photo", served)
    step = int(facts.scores.get("step", -1))
    previews = _images(sorted((entry.run / "previews").glob(f"step-{step:04d}-*.png")), "Preview", served)
    return (
        f'<details class="taught"><summary>How it was taught</summary>{photos}{previews}{_list(rows)}'
        "</details>"
    )


def _images(paths: list[Path], what: str, served: Served) -> str:
    figures = "".join(
        f'<figure><img src="{escape(served.url(path))}" alt="{what}" loading="lazy"></figure>'
        for path in paths
    )
    return f'<div class="photos">{figures}</div>' if figures else ""


def _list(rows: list[tuple[str, str]]) -> str:
    lines = "".join(f"<div><dt>{escape(word)}</dt><dd>{escape(value)}</dd></div>" for word, value in rows)
    return f'<dl class="facts">{lines}</dl>'


def _spoken(value: object) -> str:
    return {True: "yes", False: "no"}.get(value, str(value)) if isinstance(value, bool) else str(value)


def _another_base(entry: LibraryEntry, studio: Studio) -> str:
    base = studio.base
    if base is None or base.fingerprint == entry.metadata.base_fingerprint:
        return ""
    return (
        f'<p class="quiet">Taught on {escape(entry.metadata.base)}; the base model in use is '
        f"{escape(base.id)}. It may look different, or not fit.</p>"
    )
