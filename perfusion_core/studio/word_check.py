"""Which words of a prompt, or for a kind of thing, mean nothing to the base in use. Needs no torch.

Only for bases that say what they know (`model/known_words.py`). What is found is told and never acted on:
a word that is not known is no error.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from perfusion_core.errors import BaseModelError
from perfusion_core.model.known_words import KnownWords, read_known_words, words_in
from perfusion_core.model.listing import on_disk
from perfusion_core.prompt_grammar import split

if TYPE_CHECKING:
    from perfusion_core.studio.settings import Settings

# Words that hold a sentence together: nobody expects to see them in the image.
FUNCTION_WORDS = frozenset((
    "a", "an", "the", "my", "your", "his", "her", "its", "our", "their", "this", "that", "these", "those",
    "some", "one", "and", "or", "but", "of", "in", "on", "at", "to", "by", "for", "from", "with", "without",
    "into", "onto", "over", "under", "near", "behind", "beside", "between", "as", "is", "are", "be", "it",
))  # fmt: skip
_NUMBERS = frozenset((  # "three" is no slip of "tree"
    "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "many", "several", "few",
))  # fmt: skip
MOST_TOLD = 5  # words of one prompt


@dataclass(frozen=True)
class UnknownWord:
    """A word the base does not know, and the known one that was probably meant ("" where none is near)."""

    word: str
    meant: str = ""


def known_words(settings: Settings) -> KnownWords | None:
    """What the base in use says it knows; None where it says nothing, or is no folder on this machine.

    Raises BaseModelError when it says so in a file that cannot be used.
    """
    try:
        folder = on_disk(settings.base, settings.models_folder)
    except BaseModelError:  # a base that is not there is told where it is chosen
        return None
    return read_known_words(folder) if folder is not None and folder.is_dir() else None


def usable_words(settings: Settings) -> KnownWords | None:
    """The same; None also where that file cannot be used."""
    try:
        return known_words(settings)
    except BaseModelError:
        return None


def unknown_words(prompt: str, known: KnownWords) -> list[UnknownWord]:
    """The words of a prompt that the base does not know, outside `<concept>`s, once each, in its order; at
    most `MOST_TOLD`.
    """
    text = " ".join(piece for piece in split(prompt) if isinstance(piece, str))
    found: list[UnknownWord] = []
    for word in dict.fromkeys(words_in(text)):
        if len(word) > 1 and word not in FUNCTION_WORDS and not _is_known(word, known):
            found.append(UnknownWord(word, known.instead.get(word) or _nearest(word, known.words)))
            if len(found) == MOST_TOLD:
                break
    return found


def unknown_kind(kind: str, known: KnownWords) -> UnknownWord | None:
    """None for a kind of thing the base knows by this name; else the nearest that it does know, if any."""
    wanted = " ".join(words_in(kind))
    if not wanted or wanted in known.names or wanted in known.generic:
        return None
    last = wanted.split()[-1]  # a teddy bear is a bear
    near = [known.instead.get(wanted, ""), _nearest(wanted, known.names), known.instead.get(last, "")]
    near += [form for form in (last, *_forms(last)) if form in known.names or form in known.generic]
    return UnknownWord(wanted, next(filter(None, near), ""))


def _is_known(word: str, known: KnownWords) -> bool:
    return word in known.words or all(part in known.words for part in word.split("-"))


def _nearest(word: str, vocabulary: Collection[str]) -> str:
    """The word of the vocabulary that is this one in singular or plural, ends in it ("plane", "airplane"), or
    is a slip of typing away; "" where none is.
    """
    for form in _forms(word):
        if form in vocabulary:
            return form
    slips = 0 if len(word) < 4 or word in _NUMBERS else 1 if len(word) < 7 else 2
    alike: list[tuple[int, bool, str]] = []  # "hors" is rather "horse" than "horn"
    for other in vocabulary:
        if len(word) > 4 and other.endswith(word):
            alike.append((0, False, other))
        elif slips and other[0] == word[0] and abs(len(other) - len(word)) <= slips:
            alike.append((_distance(word, other), not other.startswith(word), other))
    distance, _, other = min(alike, default=(slips + 1, False, ""))
    return other if distance <= slips else ""


def _forms(word: str) -> Iterator[str]:
    """The word in singular and plural."""
    for ending, instead in (("ies", "y"), ("ves", "f"), ("ves", "fe"), ("es", ""), ("s", "")):
        if word.endswith(ending) and len(word) > len(ending) + 1:
            yield word.removesuffix(ending) + instead
    yield f"{word}s"  # known in the plural alone, as "grapes"


def _distance(one: str, other: str) -> int:
    """Letters left out, put in, exchanged or swapped with their neighbour (optimal string alignment)."""
    before: list[int] = []
    last = list(range(len(other) + 1))
    for i, a in enumerate(one):
        row = [i + 1]
        for j, b in enumerate(other):
            row.append(min(last[j + 1] + 1, row[j] + 1, last[j] + (a != b)))
            if i and j and a == other[j - 1] and b == one[i - 1]:
                row[-1] = min(row[-1], before[j - 1] + 1)
        before, last = last, row
    return last[-1]
