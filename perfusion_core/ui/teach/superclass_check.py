"""Whether the base model knows the word for the kind of thing."""

from __future__ import annotations

from typing import TYPE_CHECKING

from perfusion_core.errors import PerfusionError
from perfusion_core.ui.field_values import LONGEST_KIND, bounded
from perfusion_core.ui.html import escape, note

if TYPE_CHECKING:
    from perfusion_core.studio.app import Studio


def superclass_check(studio: Studio, word: str) -> str:
    """HTML: one token is best, several are named. Empty without a word, or before the base is loaded."""
    if not word or studio.base is None:
        return ""
    from perfusion_core.model.text import superclass_tokens

    try:
        tokens = superclass_tokens(studio.base.tokenizer, bounded(word, LONGEST_KIND, "The kind of thing"))
    except PerfusionError as error:
        return note(str(error), "problem")
    if len(tokens) == 1:
        return f'<p class="quiet known">The model knows the word “{escape(word)}”.</p>'
    pieces = " + ".join(escape(token) for token in tokens)
    return (
        f'<p class="quiet">The model reads “{escape(word)}” in {len(tokens)} pieces ({pieces}). A plainer '
        "word may work better.</p>"
    )
