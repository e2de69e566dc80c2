"""The small world the pocket model can draw: its things, colours, hats, places and styles, by name."""

from __future__ import annotations

# Sprite codes of each class. Several sprites make a class a category rather than one picture.
CLASSES: dict[str, tuple[str, ...]] = {
    "dog": ("1f415", "1f436", "1f415-200d-1f9ba"),
    "cat": ("1f408", "1f431"),
    "bear": ("1f43b", "1f43b-200d-2744-fe0f", "1f43c"),
    "bird": ("1f426", "1f424", "1f426-200d-2b1b"),
    "fish": ("1f41f", "1f421"),
    "flower": ("1f33c", "1f337", "1f339"),
    "car": ("1f697", "1f695", "1f6fb"),
    "boot": ("1f462",),
    "bag": ("1f45c", "1f4bc"),
    "cup": ("1f375", "1f964", "2615"),
    "ball": ("26bd", "1f3c0", "26be"),
    "house": ("1f3e0",),
    "butterfly": ("1f98b",),
    "tree": ("1f333", "1f332"),
    "apple": ("1f34e", "1f34f"),
    "guitar": ("1f3b8",),
    "umbrella": ("2602-fe0f",),
    "rabbit": ("1f407", "1f430"),
    "horse": ("1f40e",),
    "pig": ("1f416", "1f437"),
    "boat": ("26f5", "1f6a4"),
    "mushroom": ("1f344",),
    "lamp": ("1f4a1",),
    "clock": ("23f0", "1f570-fe0f"),
    "book": ("1f4d5", "1f4d8"),
    "cake": ("1f382", "1f370"),
    "robot": ("1f916",),
    "airplane": ("2708-fe0f",),
    "frog": ("1f438",),
    "duck": ("1f986",),
    "turtle": ("1f422",),
    "penguin": ("1f427",),
}

ANIMALS = frozenset((
    "dog", "cat", "bear", "bird", "fish", "butterfly", "rabbit",
    "horse", "pig", "frog", "duck", "turtle", "penguin", "robot",
))  # fmt: skip

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

ACCESSORIES: dict[str, str] = {
    "top hat": "1f3a9",
    "crown": "1f451",
    "graduation cap": "1f393",
    "cap": "1f9e2",
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

STYLES: dict[str, str] = {
    "photo": "a photo of",
    "pixel": "pixel art of",
    "grey": "a black and white photo of",
    "sketch": "a pencil sketch of",
}

# Neutral wordings that say nothing about the picture; the first is the usual one.
OPENINGS = (
    "a photo of", "a photo of", "a photo of", "photo of", "a picture of", "an image of",
    "a good photo of", "a close-up photo of", "a cropped photo of", "a rendering of", "",
)  # fmt: skip
