"""What the segmenter learns from: scenes of known and other things, each with a prompt and its mask."""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from tools.pocket.domain import ACCESSORIES, ANIMALS, CLASSES
from tools.pocket.mask_kin import KIN
from tools.pocket.render import Renderer, Spread
from tools.pocket.scene import Odds, Scene, Thing, draw_scene, draw_thing
from tools.pocket.sprites import held_out

# Far wider than the base's own scenes: any hue, many sizes, so that the thing is learned and not the sprite.
SPREAD = Spread(shift=9.0, size=0.16, tilt=0.14, stretch=0.14, hue=0.30, light=0.10)
ODDS = Odds(pair=0.65, colour=0.40, style=0.05, plain=0.35, accessory_animal=0.15, accessory_other=0.10)
WORDINGS = ("{}", "{}", "a {}", "the {}", "a photo of a {}", "a photo of {}")
CLASS_NUMBERS = {kind: number for number, kind in enumerate(CLASSES)}
ANYTHING = ("object", "thing", "toy", "subject")


@dataclass(frozen=True)
class Lesson:
    """Pictures (n, 3, 128, 128) in [0, 1], prompts, and the masks (n, 128, 128) they mean.

    things: (n, 2, 128, 128), the masks of all that stands there, left and right; kinds: (n, 2), the number of
    its class in CLASSES, or -1 for nothing and for strangers.
    """

    images: Tensor
    prompts: list[str]
    masks: Tensor
    things: Tensor
    kinds: Tensor


class OtherThings:
    """Sprites beyond the base's classes, named by Unicode: they teach what a thing is. None is held out."""

    def __init__(self, renderer: Renderer, rng: np.random.Generator, count: int = 320) -> None:
        self.renderer, self.names = renderer, {}
        taken = (
            set(held_out())
            | set(ACCESSORIES.values())
            | {code for codes in CLASSES.values() for code in codes}
        )
        codes = [
            f"{i:x}" for i in (*range(0x1F30D, 0x1F6FD), *range(0x1F900, 0x1FAF9)) if f"{i:x}" not in taken
        ]
        for code in rng.permutation(codes):
            if len(self.names) == count:
                break
            name = unicodedata.name(chr(int(code, 16)), "").lower()
            if name and self._solid(str(code)):
                self.names[str(code)] = name
        self.codes = list(self.names)

    def _solid(self, code: str) -> bool:
        try:
            alpha = self.renderer.book[code][3]
        except ValueError:
            return False
        return 0.2 < float((alpha > 0.5).float().mean()) < 0.85

    def draw(self, rng: np.random.Generator) -> Thing:
        """One of them, in its own colours."""
        code = self.codes[rng.integers(len(self.codes))]
        return Thing(kind=self.names[code], sprite=code)


def draw_lesson(renderer: Renderer, others: OtherThings, rng: np.random.Generator, n: int) -> Lesson:
    """n scenes, the prompt naming one thing of each.

    A stranger alone answers to any word, as photos do. A relative (see mask_kin) is asked for by its class,
    mostly beside a known thing of another class: the word, not the lone outline, must decide.
    """
    specs, slots, prompts = [], [], []
    for _ in range(n):
        spec, chance = draw_scene(rng, ODDS), rng.random()
        slot = int(rng.integers(len(spec.things)))
        word = spec.things[slot].kind
        if chance < 0.20:
            spec, slot = Scene((others.draw(rng),), spec.place, spec.place_colour), 0
            word = _word_for_stranger(spec.things[0], rng)
        elif chance < 0.30:
            known, stranger = draw_thing(rng, ODDS, str(rng.choice(list(CLASSES))), True), others.draw(rng)
            side = int(rng.integers(2))
            things = (known, stranger) if side == 0 else (stranger, known)
            asked = known if rng.random() < 0.75 else stranger
            spec, slot, word = Scene(things, spec.place, spec.place_colour), things.index(asked), asked.kind
        elif chance < 0.62:
            spec, slot = _kin_scene(spec, rng)
            word = spec.things[slot].kind
        specs.append(spec)
        slots.append(slot)
        prompts.append(WORDINGS[rng.integers(len(WORDINGS))].format(word))
    batch = renderer.draw(rng, specs, prompts)
    kinds = torch.full((n, 2), -1)
    for row, spec in enumerate(specs):
        for slot, thing in enumerate(spec.things):
            kinds[row, slot] = CLASS_NUMBERS.get(thing.kind, -1)
    asked = batch.masks[torch.arange(n), slots]
    return Lesson(batch.images, prompts, asked, batch.masks, kinds.to(batch.images.device))


def _kin_scene(spec: Scene, rng: np.random.Generator) -> tuple[Scene, int]:
    """A relative at the place of `spec`, mostly beside a known thing; and which of the two is asked for."""
    kind = str(rng.choice(list(KIN)))
    relative = Thing(kind, str(rng.choice(KIN[kind])))
    if rng.random() < 0.25:
        return Scene((relative,), spec.place, spec.place_colour), 0
    other = draw_thing(rng, ODDS, str(rng.choice([name for name in CLASSES if name != kind])), True)
    side = int(rng.integers(2))
    things = (relative, other) if side == 0 else (other, relative)
    asked = side if rng.random() < 0.6 else 1 - side
    return Scene(things, spec.place, spec.place_colour), asked


def _word_for_stranger(stranger: Thing, rng: np.random.Generator) -> str:
    chance = rng.random()
    if chance < 0.35:
        return stranger.kind
    if chance < 0.55:
        return str(rng.choice(ANYTHING))
    return str(rng.choice(sorted(ANIMALS) if rng.random() < 0.4 else list(CLASSES)))
