"""Photos of one thing at several places, as a person would take them: to teach it from."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from tools.pocket.render import Renderer, Spread
from tools.pocket.scene import Scene, Sprite, Thing
from tools.pocket.training import step_rng

STAGE = 9
PHOTOS = 5
# Where a thing is photographed; the prompts of evaluate_teaching name other places too.
PLACES = ("plain blue", "grass", "snow", "plain yellow", "table", "night", "plain green", "forest")
SPREAD = Spread(shift=6.0, size=0.14, tilt=0.09, light=0.05, hue=0.0)


def take(renderer: Renderer, sprite: Sprite, count: int = PHOTOS, seed: int = 0) -> list[Image.Image]:
    """`count` photos of 128 pixels, each elsewhere, at its own size and tilt, all from one side."""
    rng = step_rng(seed, STAGE, int(sprite[1][:5], 16))
    order = rng.permutation(len(PLACES))
    scenes = []
    for number in range(count):
        place, _, colour = PLACES[order[number % len(PLACES)]].partition(" ")
        scenes.append(Scene((Thing(0, sprite),), place, colour or None))
    images = renderer.draw(rng, scenes).images
    arrays = (images.permute(0, 2, 3, 1) * 255).round().byte().cpu().numpy()
    return [Image.fromarray(array) for array in arrays]


def photographer(work: Path) -> Renderer:
    """A renderer of photos: held-out things too, places and sizes freer than in training."""
    return Renderer(work, spread=SPREAD, refuse=False)


def sheet(rows: list[list[Image.Image]], path: Path, side: int = 128) -> None:
    """Write rows of images as one contact sheet."""
    wide = max(len(row) for row in rows)
    whole = Image.fromarray(np.full((len(rows) * side, wide * side, 3), 255, np.uint8))
    for y, row in enumerate(rows):
        for x, image in enumerate(row):
            whole.paste(image.resize((side, side)), (x * side, y * side))
    path.parent.mkdir(parents=True, exist_ok=True)
    whole.save(path)
