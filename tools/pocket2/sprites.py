"""Sprites of every kind in every art style, rasterised once into one file a style.

Run: `python -m tools.pocket2.sprites` (needs npm and the PyPI package resvg-py).
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
from tools.pocket.sprites import HEADS
from tools.pocket.training import stage_parser
from tools.pocket2.things import ARTS, HATS, all_kinds, held_out

SIZE = 112
SOURCES = {
    "photo": Package("@lobehub/fluent-emoji-3d", "1.1.0", "MIT"),
    "cartoon": Package("@svgmoji/noto", "3.2.0", "Apache-2.0 (art), MIT (package)"),
    "sticker": Package("@twemoji/svg", "15.0.0", "CC-BY 4.0 (art)"),
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
    """Sprites by art style and code, premultiplied RGBA (4, 112, 112) in [0, 1]."""

    def __init__(self, work: Path, device: torch.device | str = "cpu", refuse: bool = True) -> None:
        self.device = torch.device(device)
        self.refused = frozenset(held_out()) if refuse else frozenset()
        self._sprites: dict[str, dict[str, Tensor]] = {}
        for art in ARTS:
            loaded = checkpoint.load(work / "sprites" / f"{art}.pt")
            if loaded is None:
                raise SystemExit("There are no sprites: run `python -m tools.pocket2.sprites` first.")
            self._sprites[art] = loaded
        self._heads: dict[tuple[str, str], tuple[float, float, float]] = {}

    def has(self, art: str, code: str) -> bool:
        """Whether the art style has this kind and training may draw it."""
        return code in self._sprites[art] and code not in self.refused

    def __getitem__(self, key: tuple[str, str]) -> Tensor:
        """The sprite of (art, code).

        Raises:
            ValueError: it is held out, or the art style has none of that code.
        """
        art, code = key
        if code in self.refused:
            raise ValueError(f"{code} is held out of training (heldout.tsv): it is never rendered there.")
        if code not in self._sprites[art]:
            raise ValueError(f"There is no {art} of {code}.")
        return self._sprites[art][code].to(self.device).float() / 255

    def head(self, key: tuple[str, str]) -> tuple[float, float, float]:
        """Where a hat sits: brim x, brim y and hat width, as fractions of the sprite's square."""
        if key[0] == "photo" and key[1] in HEADS:
            return HEADS[key[1]]
        if key not in self._heads:
            alpha = self[key][3]
            rows = torch.nonzero(alpha.amax(dim=1) > 0.5).flatten()
            top = int(rows[0])
            band = alpha[top : top + SIZE // 7].amax(dim=0)
            columns = torch.nonzero(band > 0.5).flatten().float()
            width = float(columns.max() - columns.min()) / SIZE
            self._heads[key] = (
                float(columns.mean()) / SIZE,
                top / SIZE + 0.06,
                min(0.46, max(0.34, width * 1.1)),
            )
        return self._heads[key]


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
