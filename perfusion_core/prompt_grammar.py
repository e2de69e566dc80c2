"""The grammar of prompts: `<name>` mentions a concept, `<name:0.6>` also sets its gate bias. Needs no torch.

    mention = "<" [space] name [space] [":" number] ">"
    name    = 1 to 40 characters without space < > :
    number  = anything up to ">", spaces around it do not count

Everything else is plain text, "<" and ">" included. Names are compared in their canonical form
(`validate_name`). Screens that follow the typing use `split`, which accepts a number that is not finished;
everything that makes images uses `parse_prompt`, which refuses it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple, TypeVar

from perfusion_core.concept_name import validate_name
from perfusion_core.edit.choices import WIDEST_BIAS
from perfusion_core.errors import ConceptError, PromptError

_MENTION = re.compile(r"<\s*([^<>:\s]{1,40})\s*(?::([^<>]*))?>")

_Found = TypeVar("_Found")


class Written(NamedTuple):
    """A mention as typed: its name, what stands after the colon (None without one), and all of it."""

    name: str
    number: str | None
    source: str


@dataclass(frozen=True)
class Mention:
    """A concept named in a prompt, with the gate bias written there, if any; `source` is what was typed."""

    name: str
    bias: float | None = None
    source: str = ""


@dataclass(frozen=True)
class ParsedPrompt:
    """A prompt as plain text and mentions, in the order they stand in."""

    pieces: tuple[str | Mention, ...]

    @property
    def mentions(self) -> tuple[Mention, ...]:
        return tuple(piece for piece in self.pieces if isinstance(piece, Mention))

    def biases(self) -> dict[str, float]:
        """The gate biases written in it, by canonical name. Raises PromptError for two of one concept."""
        found: dict[str, float] = {}
        for mention in self.mentions:
            if mention.bias is None:
                continue
            if found.setdefault(canonical(mention.name), mention.bias) != mention.bias:
                raise PromptError(f"<{mention.name}> has two different numbers in one prompt. Give it one.")
        return found


def split(text: str) -> tuple[str | Written, ...]:
    """A prompt as plain text and mentions; together their sources are the prompt."""
    pieces: list[str | Written] = []
    end = 0
    for match in _MENTION.finditer(text):
        if match.start() > end:
            pieces.append(text[end : match.start()])
        number = None if match[2] is None else match[2].strip()
        pieces.append(Written(match[1], number, match[0]))
        end = match.end()
    if end < len(text):
        pieces.append(text[end:])
    return tuple(pieces)


@lru_cache(maxsize=256)
def parse_prompt(text: str) -> ParsedPrompt:
    """Split a prompt around its mentions. Raises PromptError when a written bias is not a usable number."""
    return ParsedPrompt(
        tuple(p if isinstance(p, str) else Mention(p.name, _bias(p), p.source) for p in split(text))
    )


def mentions(text: str) -> tuple[Mention, ...]:
    """The concepts named in a prompt, in order, repeated where the prompt repeats them."""
    return parse_prompt(text).mentions


def plain_text(text: str, superclasses: Mapping[str, str]) -> str:
    """The prompt with each known concept's superclass word in place of its placeholder."""
    words = {canonical(name): word for name, word in superclasses.items()}
    pieces = parse_prompt(text).pieces
    return "".join(p if isinstance(p, str) else words.get(canonical(p.name), p.source) for p in pieces)


def with_biases(prompt: ParsedPrompt, biases: Mapping[str, float]) -> str:
    """The prompt with each number it carries replaced by the bias in use."""
    by_name = {canonical(name): bias for name, bias in biases.items()}
    return "".join(
        p
        if isinstance(p, str)
        else p.source
        if p.bias is None
        else f"<{p.name}:{by_name[canonical(p.name)]:g}>"
        for p in prompt.pieces
    )


def without_numbers(text: str) -> str:
    """The prompt with `<name>` for every `<name:0.6>`."""
    return "".join(p if isinstance(p, str) else f"<{p.name}>" for p in split(text))


def look_up(
    prompts: Iterable[str], find: Callable[[str], _Found | None], known: Callable[[], Iterable[str]]
) -> dict[str, _Found]:
    """What `find` returns for each concept that the prompts name, in their order, by canonical name.

    `prompts` are a prompt and its negative prompt, or several prompts. Raises PromptError for a concept that
    is not found, naming those that `known` lists.
    """
    found: dict[str, _Found] = {}
    for prompt in prompts:
        for mention in mentions(prompt):
            name = canonical(mention.name)
            if name in found:
                continue
            concept = find(name)
            if concept is None:
                raise unknown_concept(mention, known())
            found[name] = concept
    return found


def unknown_concept(mention: Mention, known: Iterable[str]) -> PromptError:
    """The error for a mention of a concept that does not exist."""
    names = ", ".join(f"<{name}>" for name in known) or "none"
    return PromptError(
        f"<{mention.name}> is not a known concept. Known here: {names}. "
        "Correct the name, or bring the concept into the library first: teach or import it."
    )


def canonical(name: str) -> str:
    """The form in which names are compared; a text that cannot be a name stays as it is."""
    try:
        return validate_name(name)
    except ConceptError:
        return name


def _bias(written: Written) -> float | None:
    if written.number is None:
        return None
    try:
        bias = float(written.number)
    except ValueError:
        bias = float("nan")
    low, high = WIDEST_BIAS
    if not low <= bias <= high:
        raise PromptError(
            f"{written.source}: write a number from {low:g} to {high:g} after the colon, for example "
            f"<{written.name}:0.6>."
        )
    return bias
