"""Sprites of every kind in every art style, rasterised once into one file a style.

Run: `python -m tools.pocket.sprites` (needs npm and the PyPI package resvg-py).
"""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from tools.pocket import checkpoint
from tools.pocket.paths import work_dir
from tools.pocket.sources import Package, fetch
from tools.pocket.things import ARTS, HATS, NUMBER, SPRITES, all_kinds, held_out
from tools.pocket.training import stage_parser

SIZE = 112
SOURCES = {
    "photo": Package("@lobehub/fluent-emoji-3d", "1.1.0", "MIT"),
    "cartoon": Package("@svgmoji/noto", "3.2.0", "Apache-2.0 (art), MIT (package)"),
    "sticker": Package("@twemoji/svg", "15.0.0", "CC-BY 4.0 (art)"),
}


# Where a hat sits, as fractions of the sprite's square: (x, y of the hat's brim, hat width).
# Only sprites whose head is not simply their topmost part need a line.
HEADS: dict[str, tuple[float, float, float]] = {
    "1f415": (0.27, 0.17, 0.36),
    "1f408": (0.27, 0.25, 0.36),
    "1f415-200d-1f9ba": (0.42, 0.22, 0.36),
    "1f436": (0.50, 0.13, 0.55),
    "1f431": (0.50, 0.22, 0.55),
    "1f43b": (0.50, 0.17, 0.55),
    "1f43b-200d-2744-fe0f": (0.50, 0.17, 0.55),
    "1f43c": (0.50, 0.17, 0.55),
    "1f407": (0.32, 0.25, 0.34),
    "1f430": (0.50, 0.42, 0.50),
    "1f40e": (0.24, 0.16, 0.34),
    "1f416": (0.30, 0.24, 0.38),
    "1f437": (0.50, 0.20, 0.52),
    "1f422": (0.16, 0.52, 0.32),
    "1f438": (0.50, 0.20, 0.55),
    "1f98b": (0.50, 0.22, 0.36),
    "1f41f": (0.46, 0.20, 0.42),
    "1f916": (0.50, 0.16, 0.50),
    "1f462": (0.30, 0.08, 0.44),
    "1f45c": (0.50, 0.10, 0.42),
    "1f33c": (0.50, 0.10, 0.34),
    "1f421": (0.45, 0.16, 0.42),
    "1f426-200d-2b1b": (0.32, 0.12, 0.38),
}


def squared(image: Image.Image, size: int = SIZE) -> Tensor:
    """An RGBA image cropped to its content, standing on its square's lower edge: premultiplied (4, s, s)."""
    pixels = np.asarray(image.convert("RGBA"), dtype=np.float32) / 255
    pixels[..., :3] *= pixels[..., 3:]
    ys, xs = np.nonzero(pixels[..., 3] > 0.05)
    cut = pixels[ys.min() : ys.max() + 1, xs.min() : xs.max() + 1]
    height, width = cut.shape[:2]
    side = int(max(height, width) * 1.04)
    square = np.zeros((side, side, 4), np.float32)
    left, top = (side - width) // 2, side - height - int(side * 0.02)
    square[top : top + height, left : left + width] = cut
    tensor = torch.from_numpy(square).permute(2, 0, 1)[None]
    small = torch.nn.functional.interpolate(
        tensor, size=(size, size), mode="bilinear", antialias=True, align_corners=False
    )
    return small[0].clamp(0, 1)


def _vectors(art: str, folder: Path) -> dict[str, str]:
    """The SVG text of each emoji of a vector package, by code without variation selectors."""
    if art == "sticker":
        return {_bare(path.stem): path.read_text(encoding="utf-8") for path in folder.glob("*.svg")}
    text = (folder / "sprites" / "all.svg").read_text(encoding="utf-8")
    starts = [(match.start(), match[1]) for match in re.finditer(r'<svg [^>]*\bid="([0-9A-F-]+)"', text)]
    ends = [start for start, _ in starts[1:]] + [len(text)]
    found = {}
    for (start, code), end in zip(starts, ends, strict=True):
        body = text[start:end]
        if end == len(text):  # the last one is followed by the end of the whole
            body = body[: body.rfind("</svg>")]
        named = f'<svg xmlns:xlink="http://www.w3.org/1999/xlink" {body[5 : body.rfind("</svg>") + 6]}'
        found[_bare(code.lower())] = named
    return found


def _bare(code: str) -> str:
    return code.removesuffix("-fe0f")


def images(art: str, work: Path, codes: list[str], width: int = 256) -> Iterator[tuple[str, Image.Image]]:
    """Codes with their RGBA images; vector art is made `width` pixels wide. What is lacking is left out."""
    folder = fetch(SOURCES[art], work)
    if art == "photo":
        for code in codes:
            yield code, Image.open(folder / "assets" / f"{code}.webp")
        return
    import resvg_py

    texts = _vectors(art, folder)
    for code in codes:
        if text := texts.get(_bare(code)):
            yield code, Image.open(io.BytesIO(bytes(resvg_py.svg_to_bytes(svg_string=text, width=width))))


def rasterise(art: str, work: Path) -> dict[str, Tensor]:
    """Code -> premultiplied RGBA (4, 112, 112), uint8. Kinds that the art style lacks are left out."""
    codes = [kind.code for kind in all_kinds()]
    made = {}
    for code, image in images(art, work, codes):
        sprite = squared(image)
        made[code] = (sprite * 255).round().to(torch.uint8)
    return made


class SpriteBook:
    """Sprites by number (see things.SPRITES), premultiplied RGBA of 112x112."""

    def __init__(self, work: Path, device: torch.device | str = "cpu", refuse: bool = True) -> None:
        self.device = torch.device(device)
        self.rows = torch.full((len(SPRITES),), -1)  # where a sprite lies in the stack, on the CPU
        self.refused = frozenset(held_out()) if refuse else frozenset()
        self._told = torch.full((len(SPRITES), 3), float("nan"))
        for code, head in HEADS.items():
            self._told[NUMBER["photo", code]] = torch.tensor(head)
        stack = []
        for art in ARTS:
            loaded = checkpoint.load(work / "sprites" / f"{art}.pt")
            if loaded is None:
                raise SystemExit("There are no sprites: run `python -m tools.pocket.sprites` first.")
            for code, sprite in loaded.items():
                if (art, code) in NUMBER and code not in self.refused:
                    self.rows[NUMBER[art, code]] = len(stack)
                    stack.append(sprite)
        self.stack = torch.stack(stack).to(self.device)

    def has(self, art: str, code: str) -> bool:
        """Whether the art style has this kind and training may draw it."""
        return int(self.rows[NUMBER[art, code]]) >= 0

    def look_up(self, numbers: Tensor) -> Tensor:
        """Rows of the stack, on the device, of sprites (m,) by number (on the CPU).

        Raises:
            ValueError: one of them is held out, or the art style has none of that code.
        """
        rows = self.rows[numbers]
        if bool((rows < 0).any() | (numbers < 0).any()):
            number = int(numbers[(rows < 0) | (numbers < 0)][0])
            art, code = SPRITES[number] if number >= 0 else ("sprite", "an unknown code")
            if code in self.refused:
                raise ValueError(f"{code} is held out of training (heldout.tsv): it is never rendered there.")
            raise ValueError(f"There is no {art} of {code}.")
        return rows.to(self.device)

    def __getitem__(self, numbers: Tensor) -> Tensor:
        """Sprites (m, 4, 112, 112) in [0, 1] of numbers (m,)."""
        return self.stack[self.look_up(numbers)].float() / 255

    def heads(self, numbers: Tensor) -> Tensor:
        """Where hats sit on sprites (m,): brim x, brim y, hat width, as fractions of the square, (m, 3)."""
        solid = self.stack[self.look_up(numbers), 3] > 127  # (m, 112, 112)
        top = solid.any(2).int().argmax(1)
        line = torch.arange(SIZE, device=self.device)
        band = (line >= top[:, None]) & (line < top[:, None] + SIZE // 7)
        columns = (solid & band[:, :, None]).any(1)
        first, last = columns.int().argmax(1), SIZE - 1 - columns.flip(1).int().argmax(1)
        middle = (columns * line).sum(1) / columns.sum(1).clamp(min=1)
        width = ((last - first) / SIZE * 1.1).clamp(0.34, 0.46)
        found = torch.stack([middle / SIZE, top / SIZE + 0.06, width], 1)
        told = self._told[numbers].to(self.device)
        return torch.where(told.isnan(), found, told)


def main() -> None:
    """Rasterise every art style."""
    work = work_dir(stage_parser(__doc__).parse_args().work)
    for art in ARTS:
        made = rasterise(art, work)
        checkpoint.save(work / "sprites" / f"{art}.pt", made)
        missing = [kind.name for kind in all_kinds() if kind.code not in made]
        print(f"{art}: {len(made)} sprites; hats {all(c in made for c in HATS.values())}; without {missing}")


if __name__ == "__main__":
    main()
