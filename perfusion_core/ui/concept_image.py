"""The small image of a concept on its card, its chip and its panel."""

from __future__ import annotations

from typing import TYPE_CHECKING

from perfusion_core.ui.html import escape

if TYPE_CHECKING:
    from perfusion_core.studio.library.library import LibraryEntry
    from perfusion_core.ui.served import Served


def concept_image(entry: LibraryEntry, served: Served) -> str:
    """HTML of a concept's thumbnail, or of its initial where it has none."""
    url = served.url(entry.thumbnail) if entry.thumbnail else ""
    if url:
        return f'<img src="{escape(url)}" alt="" loading="lazy">'
    return f'<span class="initial" aria-hidden="true">{escape(entry.name[:1].upper())}</span>'
