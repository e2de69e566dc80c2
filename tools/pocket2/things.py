"""What the base knows by name: things, art styles, colours, hats, places; and what is held out."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path

from tools.pocket.domain import COLOURS, PLACES

__all__ = ["ARTS", "COLOURS", "HATS", "OPENINGS", "PLACES", "STYLES", "Kind", "held_out", "kinds"]

FOLDER = Path(__file__).parent
ARTS = ("photo", "cartoon", "sticker")  # the three art styles, by the word a caption opens with

# Style -> the words that name it. The last three are effects on an image in the "photo" art.
STYLES: dict[str, str] = {
    "photo": "a photo of",
    "cartoon": "a cartoon of",
    "sticker": "a sticker of",
    "pixel": "pixel art of",
    "grey": "a black and white photo of",
    "sketch": "a pencil sketch of",
}
# Openings that say nothing about the style of an image; the first is the usual one.
OPENINGS = (
    "a photo of", "a photo of", "a photo of", "photo of", "a picture of", "an image of",
    "a good photo of", "a close-up photo of", "a cropped photo of", "a rendering of", "",
)  # fmt: skip
HATS: dict[str, str] = {"top hat": "1f3a9", "crown": "1f451", "graduation cap": "1f393", "cap": "1f9e2"}
GENERIC = ("thing", "object", "toy")


@dataclass(frozen=True)
class Kind:
    """One kind of thing: emoji code, name in captions, and the group of things it belongs to."""

    code: str
    name: str
    group: str

    @property
    def alive(self) -> bool:
        """Whether it is an animal or a figure, which more often wears a hat."""
        return self.group.startswith("animal") or self.group == "toy"


@dataclass(frozen=True)
class HeldOut:
    """A kind kept out of training: code, name, nearest kind in training, and what it is for."""

    code: str
    name: str
    superclass: str
    role: str


def _rows(path: Path) -> list[list[str]]:
    lines = path.read_text(encoding="utf-8").splitlines()
    return [line.split("\t") for line in lines if line and not line.startswith("#")]


@cache
def held_out() -> dict[str, HeldOut]:
    """heldout.tsv: code -> HeldOut."""
    return {row[0]: HeldOut(*row) for row in _rows(FOLDER / "heldout.tsv")}


@cache
def all_kinds() -> tuple[Kind, ...]:
    """Every line of kinds.tsv, those held out included."""
    return tuple(Kind(*row) for row in _rows(FOLDER / "kinds.tsv"))


@cache
def kinds() -> tuple[Kind, ...]:
    """The kinds the base is trained on. Their order numbers them."""
    return tuple(kind for kind in all_kinds() if kind.code not in held_out())
