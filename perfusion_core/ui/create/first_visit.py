"""The photos above the example that stands on the stage before anything was made here."""

from __future__ import annotations

from typing import TYPE_CHECKING

from perfusion_core.ui.html import escape

if TYPE_CHECKING:
    from perfusion_core.studio.creating.first_example import FirstExample
    from perfusion_core.ui.served import Served


def example_photos(example: FirstExample, served: Served) -> str:
    """HTML of the photos, and what stands below them."""
    used, count = example.recipe.concepts[0], len(example.photos)
    photos = "".join(f'<img src="{escape(served.url(path))}" alt="">' for path in example.photos)
    return (
        f'<p class="quiet"><b>&lt;{escape(used.name)}&gt;</b> was taught from these {count} photos, starting '
        f"from the word “{escape(used.superclass)}”. Below, what it makes of the prompt: drag the slider, "
        f'or change the prompt.</p><div class="photos">{photos}</div>'
    )
