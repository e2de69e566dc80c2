"""Make the example concepts: five photos each of things the base has never seen, and about.json.

Run: `python -m tools.pocket.make_examples`. Writes assets/examples/<name>/{1..5}.jpg. No training stage
draws these sprites. Photos are 256 pixels wide, at five places, and show the thing from one side. With
`--tuning FOLDER` it makes there those that settings are chosen on, which are never shown or scored.
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

from tools.pocket.paths import work_dir
from tools.pocket.places import DRAW, FLOATING, Brush, plain
from tools.pocket.sprites import SOURCES, images, squared
from tools.pocket.things import COLOURS, held_out
from tools.pocket.training import stage_parser, step_rng

STAGE = 12
PIXELS = 256
CREDITS = {
    "photo": "Fluent emoji 3D art, copyright Microsoft, MIT licence",
    "cartoon": "Noto emoji art, copyright Google, Apache licence 2.0",
    "sticker": "Twemoji art, copyright Twitter and other contributors, CC-BY 4.0",
}


@dataclass(frozen=True)
class Example:
    """One concept: folder name, held-out thing, art style, title, five places ("plain COLOUR": a studio)."""

    name: str
    thing: str
    art: str
    title: str
    places: tuple[str, str, str, str, str]


EXAMPLES = (
    Example(
        "black-cat", "black cat", "photo", "A black cat",
        ("snow", "plain yellow", "table", "grass", "plain pink"),
    ),
    Example(
        "poodle", "poodle", "photo", "A poodle",
        ("plain blue", "grass", "snow", "plain green", "forest"),
    ),
    Example(
        "parrot", "parrot", "photo", "A crimson parrot",
        ("grass", "plain blue", "forest", "night", "plain white"),
    ),
    Example(
        "sunflower", "sunflower", "photo", "A sunflower",
        ("grass", "plain blue", "table", "plain purple", "snow"),
    ),
    Example(
        "backpack", "backpack", "photo", "A pink backpack",
        ("table", "grass", "plain blue", "snow", "plain yellow"),
    ),
    Example(
        "beer-mug", "beer mug", "photo", "A mug of beer",
        ("table", "plain green", "night", "plain purple", "grass"),
    ),
    Example(
        "jeep", "jeep", "photo", "A blue jeep",
        ("grass", "plain yellow", "snow", "forest", "plain green"),
    ),
    Example(
        "teapot", "teapot", "photo", "A teapot",
        ("plain blue", "grass", "night", "plain yellow", "table"),
    ),
    Example(
        "hiking-boot", "hiking boot", "cartoon", "A hiking boot, as a cartoon",
        ("table", "plain green", "snow", "grass", "plain blue"),
    ),
    Example(
        "cactus", "cactus", "cartoon", "A cactus, as a cartoon",
        ("plain pink", "table", "night", "plain yellow", "snow"),
    ),
    Example(
        "fire-engine", "fire engine", "cartoon", "A fire engine, as a cartoon",
        ("grass", "plain blue", "snow", "plain yellow", "forest"),
    ),
    Example(
        "castle", "castle", "cartoon", "A castle, as a cartoon",
        ("grass", "plain blue", "snow", "plain pink", "night"),
    ),
)  # fmt: skip

TUNING = (
    Example(
        "fox", "fox", "photo", "A fox",
        ("snow", "plain blue", "grass", "plain yellow", "table"),
    ),
    Example(
        "helicopter", "helicopter", "cartoon", "A helicopter, as a cartoon",
        ("plain green", "table", "plain pink", "grass", "snow"),
    ),
)  # fmt: skip


def sprite(art: str, code: str, work: Path) -> Tensor:
    """The sprite at four times the renderer's size, premultiplied RGBA (1, 4, 448, 448)."""
    return squared(next(images(art, work, [code], 512))[1], 448)[None]


def draw_photo(thing: Tensor, place: str, rng: np.random.Generator) -> tuple[Tensor, Tensor]:
    """A photo (3, 256, 256) in [0, 1] of a sprite (1, 4, s, s) at `place`, and its mask (1, 256, 256).

    Size, spot and tilt come from `rng`.
    """
    generator = torch.Generator().manual_seed(int(rng.integers(2**62)))
    brush = Brush(1, PIXELS, generator, torch.device("cpu"))
    if place.startswith("plain"):
        canvas, floor = plain(brush, torch.tensor([COLOURS[place.split()[1]]])), 1.0
    else:
        canvas, floor = DRAW[place](brush), float(place not in FLOATING)
    size, tilt = rng.uniform(0.62, 0.78), rng.uniform(-0.07, 0.07)
    x, foot = 0.5 + rng.uniform(-0.05, 0.05), 0.905 + rng.uniform(-0.035, 0.025)
    y = foot - size / 2
    across = ((brush.x - x) / (0.38 * size)).square() + ((brush.y - foot + 0.016) / (0.061 * size)).square()
    canvas = canvas * (1 - 0.30 * floor * torch.exp(-across))
    cos, sin = np.cos(tilt), np.sin(tilt)
    dx, dy = 1 - 2 * x, 1 - 2 * y
    theta = torch.tensor(
        [[[cos / size, sin / size, (cos * dx + sin * dy) / size],
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
    known = next(thing for thing in held_out().values() if thing.name == example.thing)
    thing, source = sprite(example.art, known.code, work), SOURCES[example.art]
    for number, place in enumerate(example.places, start=1):
        rng = step_rng(seed, STAGE, int(known.code[:5], 16) * 10 + number)
        image, _ = draw_photo(thing, place, rng)
        array = (image.permute(1, 2, 0) * 255).round().to(torch.uint8).numpy()
        Image.fromarray(array).save(target / f"{number}.jpg", quality=93, subsampling=0, optimize=True)
    about = {
        "name": example.name,
        "superclass": known.superclass,
        "title": example.title,
        "licence": source.licence,
        "source": {"package": source.name, "version": source.version, "sprite": known.code},
        "credit": f"{CREDITS[example.art]}; backgrounds drawn by tools/pocket.",
    }
    (target / "about.json").write_text(json.dumps(about, indent=2) + "\n", encoding="utf-8")


def main() -> None:
    """Make all examples."""
    parser = stage_parser(__doc__)
    parser.add_argument("--out", type=Path, default=Path("assets/examples"))
    parser.add_argument("--tuning", type=Path, metavar="FOLDER", help="make those for choosing settings")
    options = parser.parse_args()
    examples, out = (TUNING, options.tuning) if options.tuning else (EXAMPLES, options.out)
    for example in examples:
        make(example, out, work_dir(options.work), options.seed)
    total = sum(path.stat().st_size for path in out.rglob("*") if path.is_file())
    print(f"{len(examples)} examples in {out}, {total / 1e6:.2f} MB")


if __name__ == "__main__":
    main()
