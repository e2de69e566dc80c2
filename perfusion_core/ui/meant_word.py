"""A word that was probably meant, as a link: a click on it tells which word to exchange for which."""

from __future__ import annotations

from perfusion_core.ui.html import escape

# For the component that shows such links: its click event has the two as `word` and `instead`.
SENDING = """
element.addEventListener('click', (event) => {
  const word = event.target.closest('[data-instead]');
  if (word) trigger('click', {word: word.dataset.word, instead: word.dataset.instead});
});
"""


def meant_link(word: str, meant: str) -> str:
    """The word `meant`, to be clicked in place of `word`."""
    return (
        f'<button type="button" class="link" data-word="{escape(word)}" data-instead="{escape(meant)}">'
        f"{escape(meant)}</button>"
    )
