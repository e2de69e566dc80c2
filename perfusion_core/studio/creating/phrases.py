"""Putting a phrase that the base knows into a prompt, where its captions have it. Needs no torch.

Captions are "style, thing, joint, thing, place", each thing with a colour before it and what it wears after
it. A model trained on such captions alone reads words best in that order, so a phrase is not just appended.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from perfusion_core.prompt_grammar import split

if TYPE_CHECKING:
    from perfusion_core.model.known_words import KnownWords

_ARTICLE = re.compile(r"\ban?(?=\s+$)", re.IGNORECASE)


@dataclass(frozen=True)
class Span:
    """A part of a text, from `begin` up to `end`."""

    begin: int
    end: int


def with_phrase(prompt: str, known: KnownWords, phrase: str) -> str:
    """The prompt with a phrase of `known` where it belongs: a style at the beginning, a place at the end, a
    colour before the last thing and what it wears after it, each instead of one that is there; a kind of
    thing instead of the last one, or next to the concepts. Any other phrase changes nothing.
    """
    parts = _Parts(prompt, known)
    if phrase in (*known.wearing, *known.colours, *known.joints) and not parts.told and known.names:
        parts = _Parts(parts.with_kind(known.names[0]), known)
    if phrase in known.styles or phrase in known.openings:
        return _tidy(parts.with_opening(phrase))
    if phrase in known.places:
        return _tidy(parts.with_place(phrase))
    if phrase in known.wearing:
        return _tidy(parts.with_worn(phrase))
    if phrase in known.colours:
        return _tidy(parts.with_colour(phrase))
    if phrase in known.joints:
        return _tidy(parts.with_joint(phrase))
    return _tidy(parts.with_kind(phrase)) if phrase in known.names or phrase in known.generic else prompt


def with_word(prompt: str, word: str, instead: str) -> str:
    """The prompt with a word exchanged wherever it stands outside `<concept>`s; its articles follow."""
    for span in reversed(_found(_without_mentions(prompt), [word])):
        prompt = _put(prompt, span, instead)
    return _tidy(prompt)


class _Parts:
    """Where the phrases of a prompt stand. What one kind of phrase took, as "orange" in "orange book", is not
    found as another.
    """

    def __init__(self, prompt: str, known: KnownWords) -> None:
        self.prompt, self.known = prompt, known
        self._rest = _without_mentions(prompt)
        self.mentions = [Span(*found.span()) for found in re.finditer("\0+", self._rest)]
        self.openings = self._take((*known.styles, *known.openings))
        self.worn = self._take(known.wearing)
        self.places = self._take(known.places)
        self.kinds = self._take((*known.names, *known.generic))
        self.colours = self._take(known.colours)
        self.joints = self._take(known.joints)

    def _take(self, phrases: Iterable[str]) -> list[Span]:
        spans = _found(self._rest, phrases)
        for span in spans:
            self._rest = self._rest[: span.begin] + "\1" * (span.end - span.begin) + self._rest[span.end :]
        return spans

    @property
    def things(self) -> list[Span]:
        return sorted((*self.kinds, *self.mentions), key=lambda span: span.begin)

    @property
    def tail(self) -> Span:
        """Before the place the prompt ends with, or its end."""
        end = len(self.prompt.rstrip(" ,."))
        last = self.places[-1] if self.places else None
        return Span(last.begin, last.begin) if last and last.end >= end else Span(end, end)

    @property
    def told(self) -> str:
        """What stands between opening and place."""
        return self.prompt[self.openings[0].end if self.openings else 0 : self.tail.begin].strip()

    def with_opening(self, phrase: str) -> str:
        return _put(self.prompt, self.openings[0] if self.openings else Span(0, 0), phrase)

    def with_place(self, phrase: str) -> str:
        if self.places:
            return _put(self.prompt, self.places[-1], phrase)
        return _put(self.prompt, self.tail, phrase)

    def with_worn(self, phrase: str) -> str:
        after = self.things[-1].end if self.things else self.tail.begin
        now = [span for span in self.worn if span.begin >= after]
        return _put(self.prompt, now[0] if now else Span(after, after), phrase)

    def with_colour(self, phrase: str) -> str:
        if not self.things:
            return _put(self.prompt, self.tail, phrase)
        begin = (self.kinds or self.mentions)[-1].begin
        now = [
            span for span in self.colours if span.end <= begin and not self.prompt[span.end : begin].strip()
        ]
        return _put(self.prompt, now[0] if now else Span(begin, begin), phrase)

    def with_joint(self, phrase: str) -> str:
        if self.joints:
            return _put(self.prompt, self.joints[-1], phrase)
        there = {self.prompt[span.begin : span.end].casefold() for span in self.kinds}
        other = next((name for name in self.known.names if name not in there), "")
        return _put(self.prompt, self.tail, f"{phrase} {_with_article(other)}")

    def with_kind(self, phrase: str) -> str:
        if self.kinds:
            return _put(self.prompt, self.kinds[-1], phrase)
        thing = _with_article(phrase)
        if not self.prompt.strip() and self.known.styles:
            return f"{self.known.styles[0]} {thing}"
        if self.told and self.known.joints:
            return _put(self.prompt, self.tail, f"{self.known.joints[0]} {thing}")
        return _put(self.prompt, self.tail, thing)


def _without_mentions(prompt: str) -> str:
    """The prompt in small letters, of the same length, with each mention replaced by zero characters."""
    text = "".join(piece if isinstance(piece, str) else "\0" * len(piece.source) for piece in split(prompt))
    return "".join(lower if len(lower := character.lower()) == 1 else character for character in text)


def _found(text: str, phrases: Iterable[str]) -> list[Span]:
    """Where the phrases stand as whole words, the longest first where several could."""
    alternatives = "|".join(re.escape(phrase) for phrase in sorted(phrases, key=len, reverse=True))
    if not alternatives:
        return []
    whole = re.compile(rf"(?<![\w-])(?:{alternatives})(?![\w-])")
    return [Span(*found.span()) for found in whole.finditer(text)]


def _put(prompt: str, span: Span, phrase: str) -> str:
    """`phrase` in place of a span, spaced from its neighbours, with the article before it made to fit."""
    before, after = prompt[: span.begin], prompt[span.end :]
    article = "an" if phrase[:1] in "aeiou" else "a"
    before = _ARTICLE.sub(lambda found: article if found[0].islower() else article.title(), before)
    return f"{before.rstrip()} {phrase} {after.lstrip()}".strip()


def _with_article(name: str) -> str:
    return f"{'an' if name[:1] in 'aeiou' else 'a'} {name}" if name else ""


def _tidy(text: str) -> str:
    return re.sub(r"\s+([,.])", r"\1", re.sub(r" {2,}", " ", text)).strip()
