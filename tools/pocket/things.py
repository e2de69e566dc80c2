"""The base's one vocabulary: things, art styles, colours, hats, places; and what is held out."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path

FOLDER = Path(__file__).parent
ARTS = ("photo", "cartoon", "sticker")  # the three art styles, by the word a caption opens with

# Display RGB in [0, 1]; mid lightness leaves room for a sprite's own light and shade.
COLOURS: dict[str, tuple[float, float, float]] = {
    "red": (0.86, 0.16, 0.16),
    "orange": (0.95, 0.53, 0.12),
    "yellow": (0.94, 0.82, 0.18),
    "green": (0.22, 0.66, 0.27),
    "blue": (0.18, 0.40, 0.88),
    "purple": (0.55, 0.26, 0.76),
    "pink": (0.96, 0.52, 0.72),
    "brown": (0.50, 0.32, 0.18),
    "black": (0.15, 0.15, 0.17),
    "white": (0.90, 0.90, 0.91),
}

# Place name -> the words a caption uses for it. "plain" takes a colour.
PLACES: dict[str, str] = {
    "grass": "on the grass",
    "beach": "on the beach",
    "snow": "in the snow",
    "space": "in space",
    "table": "on a wooden table",
    "desert": "in the desert",
    "sea": "under the sea",
    "night": "at night",
    "brick": "in front of a brick wall",
    "city": "in the city",
    "forest": "in the forest",
    "plain": "on a {colour} background",
}

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
# The plainest kinds: usual superclasses, which lists name first.
COMMON = (
    "dog", "cat", "bear", "bird", "fish", "flower", "car", "boot", "bag", "cup", "ball", "house",
    "butterfly", "tree", "apple", "guitar", "umbrella", "rabbit", "horse", "pig", "boat", "mushroom",
    "lamp", "clock", "book", "cake", "robot", "airplane", "frog", "duck", "turtle", "penguin",
)  # fmt: skip
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


# Every sprite there may be, (art style, code), by number; an art style may lack some.
SPRITES: tuple[tuple[str, str], ...] = tuple((art, kind.code) for art in ARTS for kind in all_kinds())
NUMBER = {sprite: number for number, sprite in enumerate(SPRITES)}
