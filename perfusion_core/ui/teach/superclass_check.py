"""The words for the kind of thing: what is suggested, and whether the base model knows the one given."""

from __future__ import annotations

from typing import TYPE_CHECKING

from perfusion_core.errors import PerfusionError
from perfusion_core.studio.word_check import unknown_kind, usable_words
from perfusion_core.ui.field_values import LONGEST_KIND, bounded
from perfusion_core.ui.html import escape, note
from perfusion_core.ui.meant_word import meant_link

if TYPE_CHECKING:
    from perfusion_core.model.known_words import KnownWords
    from perfusion_core.studio.app import Studio

# For a base that does not say what it knows: words that every base model knows.
COMMON_KINDS = ["dog", "cat", "bird", "bear", "fish", "flower", "bag", "cup", "car", "toy", "house", "shoe"]
COMMON_KINDS += ["teapot", "vase"]


def suggestions(studio: Studio) -> list[str]:
    """Kinds of things to choose from, all that the base says it knows.

    Short ones come first: the field takes the first that holds what was typed, and "key" is no "donkey".
    Several words come last: a concept takes one position, which reads a single word best.
    """
    known = usable_words(studio.settings)
    if known is None:
        return COMMON_KINDS
    return sorted({*known.names, *known.generic}, key=lambda name: (" " in name, len(name), name))


def superclass_check(studio: Studio, word: str) -> str:
    """HTML: whether the base knows the word, and a nearer one where it does not. Empty without a word, and
    before the base is loaded where only its tokenizer can tell.
    """
    known = usable_words(studio.settings)
    if not word:
        return ""
    if known is not None:
        return _by_list(word, known)
    if studio.base is None:
        return ""
    from perfusion_core.model.text import superclass_tokens

    try:
        tokens = superclass_tokens(studio.base.tokenizer, bounded(word, LONGEST_KIND, "The kind of thing"))
    except PerfusionError as error:
        return note(str(error), "problem")
    if len(tokens) == 1:
        return _known(word)
    pieces = " + ".join(escape(token) for token in tokens)
    return (
        f'<p class="quiet">The model reads “{escape(word)}” in {len(tokens)} pieces ({pieces}). A plainer '
        "word may work better.</p>"
    )


def _by_list(word: str, known: KnownWords) -> str:
    unknown = unknown_kind(word, known)
    if unknown is None:
        return _known(word)
    told = f"The model does not know the word “{escape(word)}”. "
    if unknown.meant:
        link = meant_link(word, unknown.meant)
        return f'<p class="quiet doubt">{told}Did you mean {link}?</p>'
    generic = f", or “{escape(known.generic[0])}”" if known.generic else ""
    return f'<p class="quiet doubt">{told}Choose the nearest kind in the list{generic}.</p>'


def _known(word: str) -> str:
    return f'<p class="quiet known">The model knows the word “{escape(word)}”.</p>'
