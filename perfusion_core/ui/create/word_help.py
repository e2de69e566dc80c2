"""What the base knows, as words to click beside the prompt, and a note on words it does not know.

Both are empty for a base that does not say what it knows.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from perfusion_core.errors import BaseModelError
from perfusion_core.sampling.request import LONGEST_PROMPT
from perfusion_core.studio.word_check import known_words, unknown_words, usable_words
from perfusion_core.ui.html import escape, note
from perfusion_core.ui.meant_word import SENDING, meant_link

if TYPE_CHECKING:
    from perfusion_core.model.known_words import KnownWords
    from perfusion_core.studio.app import Studio

# A click sends the phrase; typing in the field leaves those kinds that hold what was typed.
PICKING = """
element.addEventListener('click', (event) => {
  const word = event.target.closest('[data-phrase]');
  if (word) trigger('click', {phrase: word.dataset.phrase});
});
element.addEventListener('input', (event) => {
  const wanted = event.target.value.trim().toLowerCase();
  let found = false;
  for (const group of element.querySelectorAll('.word-group')) {
    let some = false;
    for (const word of group.querySelectorAll('[data-phrase]')) {
      word.hidden = !word.dataset.phrase.includes(wanted);
      some ||= !word.hidden;
    }
    group.hidden = !some;
    found ||= some;
  }
  element.querySelector('.no-word').hidden = found;
});
"""
# The page tells of every change of the prompt; the server is asked once the typing has stopped.
PROMPT_CHANGED = "() => { document.dispatchEvent(new Event('prompt-changed')); return []; }"
DOUBTING = (
    """
let pause;
document.addEventListener('prompt-changed', () => {
  clearTimeout(pause);
  pause = setTimeout(() => trigger('submit'), 800);
});
"""
    + SENDING
)


def panel(studio: Studio) -> str:
    """The words by group, folded away; why they cannot be shown, where they cannot."""
    try:
        known = known_words(studio.settings)
    except BaseModelError as error:
        return note(str(error))
    if known is None:
        return ""
    rows = (
        _row("Things", _kinds(known), len(known.names))
        + _row("Places", _chips(known.places), len(known.places))
        + _row("To wear", _chips(known.wearing), len(known.wearing))
        + _row("Colours", _chips(known.colours), len(known.colours))
        + _row("Styles", _chips(known.styles), len(known.styles))
        + _row("Two things", _chips(known.joints), len(known.joints))
    )
    return (
        '<details class="words"><summary>Words this model knows</summary><p class="quiet">Click one to put '
        f"it into the prompt. Other words mean little to this model.</p>{rows}</details>"
    )


def doubts(studio: Studio, prompt: str | None) -> str:
    """The words of a prompt that mean nothing to the base, each with the one that was probably meant."""
    known = usable_words(studio.settings)
    unknown = unknown_words((prompt or "")[:LONGEST_PROMPT], known) if known is not None else []
    if not unknown:
        return ""
    told = [
        f"“{escape(one.word)}”: did you mean {meant_link(one.word, one.meant)}?"
        for one in unknown
        if one.meant
    ]
    strange = [f"“{escape(one.word)}”" for one in unknown if not one.meant]
    if strange:
        words = f"{', '.join(strange[:-1])} and {strange[-1]}" if len(strange) > 1 else strange[0]
        told.append(f"This model does not know {words}: the picture may come without {_them(strange)}.")
    return f'<p class="quiet doubt" role="status">{" ".join(told)}</p>'


def _them(words: list[str]) -> str:
    return "them" if len(words) > 1 else "it"


def _row(label: str, content: str, count: int) -> str:
    """One group of words, folded away; opening it closes the others of that name."""
    if not count:
        return ""
    return (
        f'<details class="word-row" name="word-row"><summary>{label} <span class="quiet">{count}</span>'
        f"</summary><div>{content}</div></details>"
    )


def _kinds(known: KnownWords) -> str:
    """A field to find a kind of thing, and all of them in their groups."""
    groups = "".join(
        f'<section class="word-group"><h3>{escape(label.capitalize())}</h3>{_chips(names)}</section>'
        for label, names in known.kinds.items()
        if names
    )
    return (
        '<input type="search" aria-label="Find a thing" placeholder="Find a thing">'
        '<p class="quiet no-word" hidden>This model knows no thing of that name.</p>'
        f'<div class="word-groups">{groups}</div>'
    )


def _chips(phrases: Iterable[str]) -> str:
    return "".join(
        f'<button type="button" class="word" data-phrase="{escape(phrase)}">{escape(phrase)}</button>'
        for phrase in phrases
    )
