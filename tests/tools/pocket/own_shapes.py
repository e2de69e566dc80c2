"""Photos of three things drawn here, flat with dark outlines: an art style that no training of pocket has.

Run: `python -m tests.tools.pocket.own_shapes FOLDER` writes windmill/, bird/ and tractor/ for
`tools.pocket.look_taught`. The drawings are dedicated to the public domain (CC0).
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path

from PIL import Image, ImageChops, ImageDraw

SIDE = 128
FINE = 4  # drawn this many times larger, and averaged
LINE = "#2b2233"
# Where each photo is taken: colour of the backdrop, of the floor, the thing's left, top and size in 0..1.
PHOTOS = (
    ("#8fc7e8", "#6fae5a", 0.16, 0.14, 0.68),
    ("#f4d58d", "#d9a85b", 0.20, 0.18, 0.62),
    ("#e9e4f0", "#c9c2d6", 0.12, 0.12, 0.74),
    ("#f0b7b0", "#c97f78", 0.22, 0.20, 0.60),
    ("#a9d8c4", "#5f9e86", 0.15, 0.17, 0.70),
)


class Pen:
    """Draws filled shapes with an outline, in coordinates from 0 to 100 within a square."""

    def __init__(self, image: Image.Image, left: float, top: float, size: float) -> None:
        self.draw, self.scale = ImageDraw.Draw(image), size * SIDE * FINE / 100
        self.left, self.top = left * SIDE * FINE, top * SIDE * FINE
        self.width = round(3.2 * self.scale)

    def _at(self, points: tuple[tuple[float, float], ...]) -> list[tuple[float, float]]:
        return [(self.left + x * self.scale, self.top + y * self.scale) for x, y in points]

    def polygon(self, colour: str, *points: tuple[float, float]) -> None:
        corners = self._at(points)
        self.draw.polygon(corners, fill=colour)
        self.draw.line([*corners, corners[0], corners[1]], fill=LINE, width=self.width, joint="curve")

    def circle(self, colour: str, x: float, y: float, radius: float) -> None:
        box = self._at(((x - radius, y - radius), (x + radius, y + radius)))
        self.draw.ellipse(box, fill=colour, outline=LINE, width=self.width)

    def line(self, *points: tuple[float, float]) -> None:
        self.draw.line(self._at(points), fill=LINE, width=self.width)


def windmill(pen: Pen) -> None:
    pen.polygon("#f7f3e8", (36, 38), (64, 38), (74, 98), (26, 98))
    pen.polygon("#c8443a", (32, 40), (68, 40), (50, 18))
    pen.polygon("#7a4a2b", (44, 98), (56, 98), (56, 78), (44, 78))
    for x, y in ((1, 0), (0, 1), (-1, 0), (0, -1)):
        tip, side = (50 + 44 * x, 44 + 40 * y), (8 * y, -8 * x)
        pen.polygon(
            "#4f7fc4", (50, 44), tip, (tip[0] + side[0], tip[1] + side[1]), (50 + side[0], 44 + side[1])
        )
    pen.circle("#f2c230", 50, 44, 6)


def bird(pen: Pen) -> None:
    pen.line((44, 84), (44, 98))
    pen.line((58, 84), (58, 98))
    pen.polygon("#2f9e8f", (84, 52), (99, 36), (97, 64))
    pen.circle("#f2a7c3", 52, 56, 32)
    pen.polygon("#2f9e8f", (50, 50), (82, 50), (74, 74), (58, 72))
    pen.polygon("#f0862e", (22, 44), (2, 52), (23, 58))
    pen.circle("#ffffff", 36, 44, 8)
    pen.circle(LINE, 34, 44, 3)


def tractor(pen: Pen) -> None:
    pen.polygon("#8a8f98", (16, 40), (24, 40), (24, 20), (16, 20))
    pen.polygon("#e3b321", (6, 42), (52, 42), (52, 74), (6, 74))
    pen.polygon("#bfe3f2", (50, 12), (88, 12), (92, 62), (50, 62))
    pen.circle("#4a4a55", 72, 72, 25)
    pen.circle("#d8473c", 72, 72, 10)
    pen.circle("#4a4a55", 22, 82, 15)
    pen.circle("#d8473c", 22, 82, 6)


SHAPES: dict[str, tuple[str, Callable[[Pen], None]]] = {
    "windmill": ("house", windmill),
    "bird": ("bird", bird),
    "tractor": ("truck", tractor),
}


def photos(name: str) -> list[tuple[Image.Image, Image.Image]]:
    """The five photos of a shape, each with its mask ("L", 255 where the thing is)."""
    taken = []
    for backdrop, floor, left, top, size in PHOTOS:
        image = Image.new("RGB", (SIDE * FINE, SIDE * FINE), backdrop)
        ImageDraw.Draw(image).rectangle((0, round(0.78 * SIDE * FINE), SIDE * FINE, SIDE * FINE), fill=floor)
        empty = image.copy()
        SHAPES[name][1](Pen(image, left, top, size))
        changed = ImageChops.difference(image, empty).convert("L")
        mask = changed.point(lambda value: 255 if value else 0)
        taken.append((image.resize((SIDE, SIDE), Image.Resampling.BOX), mask.resize((SIDE, SIDE))))
    return taken


def write(folder: Path) -> None:
    """A folder a shape: five photos and about.json."""
    for name, (superclass, _) in SHAPES.items():
        target = folder / name
        target.mkdir(parents=True, exist_ok=True)
        for number, (image, _mask) in enumerate(photos(name), start=1):
            image.save(target / f"{number}.png")
        about = {"name": name, "superclass": superclass, "licence": "CC0-1.0"}
        (target / "about.json").write_text(json.dumps(about) + "\n", encoding="utf-8")


if __name__ == "__main__":
    write(Path(sys.argv[1]))
