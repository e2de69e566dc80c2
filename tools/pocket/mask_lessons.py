"""What the segmenter learns from: scenes, each with a prompt and the mask of what it names."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from tools.pocket.render import Renderer, Spread
from tools.pocket.scene import Odds, World
from tools.pocket.table import Table, draw_table
from tools.pocket.things import GENERIC

# Far wider than the base's own scenes: any hue, many sizes, so that the thing is learned and not the sprite.
SPREAD = Spread(shift=9.0, size=0.16, tilt=0.14, hue=0.30, light=0.10)
ODDS = Odds(
    pair=0.65,
    colour=0.25,
    effect=0.05,
    plain=0.35,
    hat_alive=0.15,
    hat_other=0.10,
    varied=0.3,
    effect_any=True,
)
WORDINGS = ("{}", "{}", "a {}", "the {}", "a photo of a {}", "a photo of {}")
ANYTHING = (*GENERIC, "subject")


@dataclass(frozen=True)
class Lesson:
    """Images (n, 3, 128, 128) in [0, 1], prompts, and the masks (n, 128, 128) they mean.

    things: (n, 2, 128, 128), the masks of all that stands there, left and right; kinds: (n, 2), the number of
    its kind, or -1 for nothing and for what departs from its sprite.
    """

    images: Tensor
    prompts: list[str]
    masks: Tensor
    things: Tensor
    kinds: Tensor


def draw_lesson(renderer: Renderer, rng: np.random.Generator, n: int) -> Lesson:
    """n scenes, the prompt naming one thing of each.

    Beside another thing it goes by its own name, or by one of its group where the other is of another group:
    what is taught is called by a superclass. Alone it answers to any word, as the one thing in a photo does.
    """
    table = draw_table(rng, ODDS, renderer.world, n)
    slots = torch.from_numpy(rng.integers(2, size=n)) * table.pair
    prompts = [word_for(table, row, int(slot), renderer.world, rng) for row, slot in enumerate(slots)]
    prompts = [WORDINGS[rng.integers(len(WORDINGS))].format(word) for word in prompts]
    batch = renderer.draw(rng, table)
    kinds = table.things.kind.masked_fill(table.things.varied, -1)
    asked = batch.masks[torch.arange(n), slots.to(batch.masks.device)]
    return Lesson(batch.images, prompts, asked, batch.masks, kinds.to(batch.images.device))


def word_for(table: Table, row: int, slot: int, world: World, rng: np.random.Generator) -> str:
    """A word that means the thing in `slot` of a scene and no other there."""
    kind = world.kinds[int(table.things.kind[row, slot])]
    chance = rng.random()
    if not bool(table.pair[row]):
        if chance < 0.6:
            return kind.name
        return (
            str(rng.choice(ANYTHING)) if chance < 0.75 else world.kinds[rng.integers(len(world.kinds))].name
        )
    other = world.kinds[int(table.things.kind[row, 1 - slot])]
    if other.group == kind.group or chance < 0.6:
        return kind.name
    return str(rng.choice([each.name for each in world.kinds if each.group == kind.group]))
