"""`words.json` beside a base model: the words that the captions it was trained on hold. Needs no torch.

    {"version": 1,
     "kinds": {"animals": ["dog", "polar bear"], "vehicles": ["car"]},   by group, in the order to be shown
     "generic": ["thing"],                                               words for any kind of thing
     "colours": ["red"],
     "wearing": ["wearing a crown"], "places": ["on the beach"],
     "styles": ["a photo of", "a cartoon of"],                           openings that decide the style
     "openings": ["a picture of"],                                       openings that decide nothing
     "joints": ["next to", "and"],                                       what stands between two things
     "instead": {"mug": "cup"}}                                          not known: the kind nearest to it

Each phrase is as captions have it, ready to be put into a prompt. Only "version" and "kinds" must be there. A
model trained on a small world of words, such as the bundled one, tells by it what is worth writing; one that
was trained on text from everywhere has none.
"""

from __future__ import annotations

import re
from functools import cached_property
from itertools import chain
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator

from perfusion_core.container import shown
from perfusion_core.errors import BaseModelError
from perfusion_core.files import open_regular

FILE_NAME = "words.json"
LARGEST_FILE = 128 * 2**10  # bytes; the bundled one has some 8,000
MOST_PHRASES = 4000

_WORD = re.compile(r"[^\W\d_]+(?:[-'’][^\W\d_]+)*")
_PHRASE = re.compile(rf"{_WORD.pattern}(?: {_WORD.pattern})*")


def words_in(text: str) -> list[str]:
    """The words of a text in its order, in the form in which words are compared; numbers are none."""
    return [word.casefold() for word in _WORD.findall(text)]


def _plain(text: str) -> str:
    if not _PHRASE.fullmatch(text) or text != text.casefold():
        raise ValueError("is not one or more words in small letters with single spaces between them")
    return text


_Phrase = Annotated[str, Field(max_length=60), AfterValidator(_plain)]
_Phrases = tuple[_Phrase, ...]
_Groups = Annotated[dict[_Phrase, _Phrases], Field(max_length=60)]
_Instead = Annotated[dict[_Phrase, _Phrase], Field(max_length=1000)]


class KnownWords(BaseModel):
    """The content of a `words.json`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    version: Literal[1]
    kinds: _Groups
    generic: _Phrases = ()
    colours: _Phrases = ()
    wearing: _Phrases = ()
    places: _Phrases = ()
    styles: _Phrases = ()
    openings: _Phrases = ()
    joints: _Phrases = ()
    instead: _Instead = Field(default_factory=dict)

    @model_validator(mode="after")
    def _bounded(self) -> KnownWords:
        if len(self.phrases) > MOST_PHRASES:
            raise ValueError(f"{len(self.phrases)} phrases; at most {MOST_PHRASES} are accepted")
        strange = set(self.instead.values()) - {*self.names, *self.generic}
        if strange:
            raise ValueError(f"“instead” names {shown(min(strange))}, which is no kind of thing it knows")
        return self

    @cached_property
    def names(self) -> _Phrases:
        """Every kind of thing, in the order of the groups."""
        return tuple(chain.from_iterable(self.kinds.values()))

    @cached_property
    def phrases(self) -> _Phrases:
        """All there is, kinds first."""
        others = (
            self.generic,
            self.colours,
            self.wearing,
            self.places,
            self.styles,
            self.openings,
            self.joints,
        )
        return (*self.names, *chain.from_iterable(others))

    @cached_property
    def words(self) -> frozenset[str]:
        """Every single word that some phrase holds."""
        return frozenset(word for phrase in self.phrases for word in words_in(phrase))


def read_known_words(folder: Path) -> KnownWords | None:
    """What the base model in `folder` says it knows; None where it says nothing.

    Raises BaseModelError for a file that is too large, damaged or no plain file. The model works without it.
    """
    path = folder / FILE_NAME
    try:
        with open_regular(path) as file:
            content = file.read(LARGEST_FILE + 1)
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise _refused(
            folder, f"it cannot be opened ({getattr(error, 'strerror', None) or error})"
        ) from error
    if len(content) > LARGEST_FILE:
        raise _refused(folder, f"it is larger than {LARGEST_FILE // 2**10} KB")
    try:
        return KnownWords.model_validate_json(content)
    except ValidationError as error:
        raise _refused(folder, _reason(error)) from error


def _refused(folder: Path, reason: str) -> BaseModelError:
    return BaseModelError(
        f"{FILE_NAME} of the base model {shown(folder.name)} is not used: {reason}. The model works without "
        "it; to be told what it knows, get that file again."
    )


def _reason(error: ValidationError) -> str:
    first = error.errors(include_url=False, include_input=False)[0]
    place = ".".join(str(part) for part in first["loc"])
    text = str(first["msg"]).removeprefix("Value error, ")
    return f"{shown(place)} {text[:200]}" if place else text[:200]
