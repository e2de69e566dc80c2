"""Make the example concepts: five photos each of things the base model has never seen, and about.json.

Run: `python -m tools.pocket.make_examples`. Writes assets/examples/<name>/{1..5}.jpg. No training stage
draws these sprites. Photos are drawn at 256 pixels directly, with the renderer's own places.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional as F

from tools.pocket.domain import COLOURS
from tools.pocket.paths import work_dir
from tools.pocket.places import DRAW, FLOATING, Brush, plain
from tools.pocket.sources import SPRITES, fetch
from tools.pocket.sprites import held_out
from tools.pocket.training import stage_parser

STAGE = 6
PIXELS = 256
PHOTOS = 5


@dataclass(frozen=True)
class Example:
    """One concept: folder name, held-out sprite, and its five places ("plain COLOUR" is a studio)."""

    name: str
    code: str
    title: str
    places: tuple[str, str, str, str, str]


EXAMPLES = (
    Example(
        "poodle", "1f429", "A grey and white poodle",
        ("grass", "plain blue", "brick", "beach", "plain orange"),
    ),
    Example(
        "black-cat", "1f408-200d-2b1b", "A black cat",
        ("snow", "plain yellow", "table", "grass", "plain pink"),
    ),
    Example(
        "teddy-bear", "1f9f8", "A teddy bear",
        ("plain blue", "grass", "snow", "plain green", "city"),
    ),
    Example(
        "parrot", "1f99c", "A crimson parrot",
        ("beach", "plain blue", "forest", "desert", "plain white"),
    ),
    Example(
        "tropical-fish", "1f420", "A tropical fish",
        ("sea", "plain pink", "sea", "plain green", "beach"),
    ),
    Example(
        "sunflower", "1f33b", "A sunflower",
        ("grass", "plain blue", "beach", "plain purple", "snow"),
    ),
    Example(
        "backpack", "1f392", "A pink backpack",
        ("table", "grass", "plain blue", "snow", "plain yellow"),
    ),
    Example(
        "beer-mug", "1f37a", "A mug of beer",
        ("table", "plain green", "beach", "plain purple", "grass"),
    ),
)  # fmt: skip


def sprite(code: str, work: Path) -> Tensor:
    """The whole sprite in its own size, premultiplied RGBA (1, 4, s, s), on the square's lower edge."""
    picture = (
        np.asarray(Image.open(fetch(SPRITES, work) / "assets" / f"{code}.webp").convert("RGBA"), np.float32)
        / 255
    )
    picture[..., :3] *= picture[..., 3:]
    ys, xs = np.nonzero(picture[..., 3] > 0.05)
    cut = picture[ys.min() : ys.max() + 1, xs.min() : xs.max() + 1]
    height, width = cut.shape[:2]
    side = int(max(height, width) * 1.04)
    square = np.zeros((side, side, 4), np.float32)
    left, top = (side - width) // 2, side - height - int(side * 0.02)
    square[top : top + height, left : left + width] = cut
    return torch.from_numpy(square).permute(2, 0, 1)[None]


def draw_photo(thing: Tensor, place: str, rng: np.random.Generator, flipped: bool) -> tuple[Tensor, Tensor]:
    """A photo (3, 256, 256) in [0, 1] of the sprite at `place` and the sprite's mask (1, 256, 256).

    Size, spot and tilt come from `rng`.
    """
    generator = torch.Generator().manual_seed(int(rng.integers(2**62)))
    brush = Brush(1, PIXELS, generator, torch.device("cpu"))
    if place.startswith("plain"):
        canvas, floor = plain(brush, torch.tensor([COLOURS[place.split()[1]]])), 1.0
    else:
        canvas, floor = DRAW[place](brush), float(place not in FLOATING)
    size, tilt = rng.uniform(0.58, 0.72), rng.uniform(-0.07, 0.07)
    x, foot = 0.5 + rng.uniform(-0.05, 0.05), 0.895 + rng.uniform(-0.035, 0.025)
    y = foot - size / 2
    across = ((brush.x - x) / (0.38 * size)).square() + ((brush.y - foot + 0.016) / (0.061 * size)).square()
    canvas = canvas * (1 - 0.30 * floor * torch.exp(-across))
    cos, sin, side = np.cos(tilt), np.sin(tilt), -1.0 if flipped else 1.0
    dx, dy = 1 - 2 * x, 1 - 2 * y
    theta = torch.tensor(
        [[[cos * side / size, sin * side / size, (cos * dx + sin * dy) * side / size],
          [-sin / size, cos / size, (cos * dy - sin * dx) / size]]], dtype=torch.float32,
    )  # fmt: skip
    # Drawn at twice the size and averaged, so that the sprite's own edge stays smooth.
    grid = F.affine_grid(theta, [1, 4, 2 * PIXELS, 2 * PIXELS], align_corners=False)
    layer = F.avg_pool2d(F.grid_sample(thing, grid, mode="bicubic", align_corners=False), 2).clamp(0, 1)
    return (canvas * (1 - layer[:, 3:]) + layer[:, :3]).clamp(0, 1)[0], layer[0, 3:]


def make(example: Example, folder: Path, work: Path, seed: int) -> None:
    """Write the photos and about.json of one example into `folder`/<name>."""
    target = folder / example.name
    target.mkdir(parents=True, exist_ok=True)
    thing, known = sprite(example.code, work), held_out()[example.code]
    for number, place in enumerate(example.places, start=1):
        rng = np.random.default_rng([seed, STAGE, int(example.code[:5], 16), number])
        image, _ = draw_photo(thing, place, rng, flipped=number % 2 == 0)
        array = (image.permute(1, 2, 0) * 255).round().to(torch.uint8).numpy()
        Image.fromarray(array).save(target / f"{number}.jpg", quality=93, subsampling=0, optimize=True)
    about = {
        "name": example.name,
        "superclass": known.superclass,
        "title": example.title,
        "licence": SPRITES.licence,
        "source": {"package": SPRITES.name, "version": SPRITES.version, "sprite": example.code},
        "credit": "Fluent emoji 3D art, copyright Microsoft, MIT licence; backgrounds drawn by tools/pocket.",
    }
    (target / "about.json").write_text(json.dumps(about, indent=2) + "\n", encoding="utf-8")


def main() -> None:
    """Make all examples."""
    parser = stage_parser(__doc__)
    parser.add_argument("--out", type=Path, default=Path("assets/examples"))
    options = parser.parse_args()
    for example in EXAMPLES:
        make(example, options.out, work_dir(options.work), options.seed)
    total = sum(path.stat().st_size for path in options.out.rglob("*") if path.is_file())
    print(f"{len(EXAMPLES)} examples x {PHOTOS} photos in {options.out}, {total / 1e6:.2f} MB")


if __name__ == "__main__":
    main()
