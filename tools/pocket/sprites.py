"""Load sprites as tensors, refuse the held-out ones, and know where a hat sits on each."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from tools.pocket.sources import SPRITES, fetch

HELDOUT_FILE = Path(__file__).with_name("heldout.txt")
SPRITE_SIZE = 112

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


@dataclass(frozen=True)
class HeldOut:
    """A sprite kept out of training: its code, its name and the class word nearest to it."""

    code: str
    name: str
    superclass: str


def held_out(path: Path = HELDOUT_FILE) -> dict[str, HeldOut]:
    """Read heldout.txt: sprite code -> HeldOut."""
    found = {}
    for line in path.read_text(encoding="utf-8").splitlines():
        if line.strip() and not line.startswith("#"):
            code, *name, superclass = line.split()
            found[code] = HeldOut(code, " ".join(name), superclass)
    return found


class SpriteBook:
    """Sprites by code, premultiplied RGBA of shape (4, 112, 112), cropped to their content and centred."""

    def __init__(self, work: Path, device: torch.device | str = "cpu", refuse: bool = True) -> None:
        self.folder = fetch(SPRITES, work) / "assets"
        self.device = torch.device(device)
        self.refused = frozenset(held_out()) if refuse else frozenset()
        self._pictures: dict[str, Tensor] = {}
        self._heads: dict[str, tuple[float, float, float]] = {}

    def __getitem__(self, code: str) -> Tensor:
        """Premultiplied RGBA (4, 112, 112) in [0, 1].

        Raises:
            ValueError: the sprite is held out, or there is none of that code.
        """
        if code in self.refused:
            raise ValueError(
                f"Sprite {code} is held out of training (heldout.txt); the renderer never draws it."
            )
        if code not in self._pictures:
            self._pictures[code] = self._load(code)
        return self._pictures[code]

    def head(self, code: str) -> tuple[float, float, float]:
        """Where a hat sits on the sprite: brim x, brim y and hat width, as fractions of the square."""
        if code in HEADS:
            return HEADS[code]
        if code not in self._heads:
            alpha = self[code][3]
            rows = torch.nonzero(alpha.amax(dim=1) > 0.5).flatten()
            top = int(rows[0])
            band = alpha[top : top + SPRITE_SIZE // 7].amax(dim=0)
            columns = torch.nonzero(band > 0.5).flatten().float()
            width = float(columns.max() - columns.min()) / SPRITE_SIZE
            self._heads[code] = (
                float(columns.mean()) / SPRITE_SIZE,
                top / SPRITE_SIZE + 0.06,
                min(0.46, max(0.34, width * 1.1)),
            )
        return self._heads[code]

    def _load(self, code: str) -> Tensor:
        path = self.folder / f"{code}.webp"
        if not path.is_file():
            raise ValueError(f"There is no sprite {code} in {self.folder}; check the code in domain.py.")
        picture = np.asarray(Image.open(path).convert("RGBA"), dtype=np.float32) / 255
        picture[..., :3] *= picture[..., 3:]
        ys, xs = np.nonzero(picture[..., 3] > 0.05)
        y0, y1, x0, x1 = ys.min(), ys.max() + 1, xs.min(), xs.max() + 1
        side = int(max(y1 - y0, x1 - x0) * 1.04)
        square = np.zeros((side, side, 4), np.float32)
        # Things stand on the square's bottom edge and are centred sideways.
        left, top = (side - (x1 - x0)) // 2, side - (y1 - y0) - int(side * 0.02)
        square[top : top + y1 - y0, left : left + x1 - x0] = picture[y0:y1, x0:x1]
        tensor = torch.from_numpy(square).permute(2, 0, 1)[None]
        small = torch.nn.functional.interpolate(
            tensor, size=(SPRITE_SIZE, SPRITE_SIZE), mode="bilinear", antialias=True, align_corners=False
        )
        return small[0].clamp(0, 1).to(self.device)
