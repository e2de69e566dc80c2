"""Render batches of scenes: sprites, varied or plain, placed on backgrounds, with masks and code images."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from tools.pocket.paths import work_dir
from tools.pocket.places import DRAW, FLOATING, Brush, plain
from tools.pocket.styles import apply_style
from tools.pocket2.scene import Odds, Scene, Thing, World, draw_scene
from tools.pocket2.sprites import SpriteBook
from tools.pocket2.things import ARTS, COLOURS, HATS, all_kinds, kinds

SIZE = 128
CODE_SIZE = 32  # the image a code is taken from
LIGHT = (0.30, 0.59, 0.11)


@dataclass(frozen=True)
class Batch:
    """A rendered batch.

    images: (n, 3, 128, 128) in [0, 1]. masks: (n, 2, 128, 128) in [0, 1], the visible part of the left and
    right object without its hat. covered: (n, 1, 128, 128), how much of a pixel is thing or hat.
    looks: (n, 2, 4, 32, 32), premultiplied RGBA of each thing as drawn, before it is placed; zero for none.
    """

    images: Tensor
    masks: Tensor
    covered: Tensor
    looks: Tensor
    scenes: list[Scene]


@dataclass(frozen=True)
class Spread:
    """How far placing varies: pixels for positions, fractions for sizes and lightness, radians for tilt."""

    shift: float = 4.0
    size: float = 0.07
    tilt: float = 0.05
    light: float = 0.04
    hue: float = 0.03  # share of a full turn, for plain looks


class Renderer:
    """Renders scenes in batches on one device. All randomness comes from the generator given to each call."""

    def __init__(
        self,
        work: Path | str | None = None,
        device: torch.device | str = "cpu",
        odds: Odds | None = None,
        spread: Spread | None = None,
        refuse: bool = True,
    ) -> None:
        """`refuse=False` renders held-out things too: for example photos and judges alone."""
        self.device = torch.device(device)
        self.book = SpriteBook(work_dir(work), self.device, refuse)
        self.odds, self.spread = odds or Odds(), spread or Spread()
        known = kinds() if refuse else all_kinds()
        drawable = {
            art: tuple(i for i, kind in enumerate(known) if self.book.has(art, kind.code)) for art in ARTS
        }
        self.world = World(drawable, known)

    def scenes(self, rng: np.random.Generator, n: int) -> Batch:
        """Render n random scenes."""
        return self.draw(rng, [draw_scene(rng, self.odds, self.world) for _ in range(n)])

    def draw(self, rng: np.random.Generator, scenes: list[Scene]) -> Batch:
        """Render the given scenes; placing and small variations come from `rng`."""
        generator = torch.Generator().manual_seed(int(rng.integers(2**62)))
        canvas = self._backgrounds(scenes, generator)
        n = len(scenes)
        masks = torch.zeros(n, 2, SIZE, SIZE, device=self.device)
        covered = torch.zeros(n, 1, SIZE, SIZE, device=self.device)
        looks = torch.zeros(n, 2, 4, CODE_SIZE, CODE_SIZE, device=self.device)
        for slot in (0, 1):
            rows = [i for i, scene in enumerate(scenes) if len(scene.things) > slot]
            if not rows:
                continue
            index = torch.tensor(rows, device=self.device)
            things = [scenes[i].things[slot] for i in rows]
            sprites = self.looks(things, generator)
            small = F.interpolate(
                sprites, size=CODE_SIZE, mode="bilinear", antialias=True, align_corners=False
            )
            looks[index, slot] = small.clamp(0, 1)
            paired = torch.tensor([float(len(scenes[i].things) == 2) for i in rows])
            floor = torch.tensor([float(scenes[i].place not in FLOATING) for i in rows])
            part, alpha, hat = self._place_all(things, sprites, paired, floor, slot, generator, canvas[index])
            canvas[index] = part
            drawn = torch.maximum(alpha, hat)
            masks[index] = masks[index] * (1 - drawn)
            covered[index] = torch.maximum(covered[index], drawn)
            masks[index, slot] = (alpha * (1 - hat))[:, 0]
        images = apply_style(
            canvas.clamp(0, 1), [s.style if s.style not in ARTS else "photo" for s in scenes]
        )
        return Batch(images, masks, covered, looks, scenes)

    def looks(self, things: list[Thing], generator: torch.Generator | None = None) -> Tensor:
        """Premultiplied RGBA (n, 4, 112, 112) of things as they are drawn, before they are placed.

        Without `generator`, without the small random turns of hue and lightness that plain looks get.
        """
        base = torch.stack([self.book[thing.sprite] for thing in things])
        n = len(things)
        for row, thing in enumerate(things):
            if thing.variation and thing.variation.partner:
                base[row] = mixed(base[row], self.book[thing.variation.partner], thing.variation.share)
        alpha = base[:, 3:]
        rgb = base[:, :3] / alpha.clamp(min=1e-3)
        weights = torch.tensor(LIGHT, device=self.device).view(1, 3, 1, 1)
        light = (rgb * weights).sum(1, keepdim=True)
        turns = torch.zeros(n)
        lift = torch.ones(n)
        if generator is not None:
            turns = self.spread.hue * 2 * np.pi * (torch.rand(n, generator=generator) * 2 - 1)
            lift = 1 + self.spread.light * (torch.rand(n, generator=generator) * 2 - 1)
        turns = turns + torch.tensor([thing.variation.hue if thing.variation else 0.0 for thing in things])
        turned = hue_turned(rgb, light, turns.to(self.device)) * lift.view(n, 1, 1, 1).to(self.device)
        named = torch.tensor([COLOURS[t.colour] if t.colour else (0.0, 0.0, 0.0) for t in things])
        mean = (light * alpha).sum((2, 3), keepdim=True) / alpha.sum((2, 3), keepdim=True).clamp(min=1e-3)
        painted = named.view(n, 3, 1, 1).to(self.device) + 0.85 * (light - mean)
        is_named = torch.tensor([float(t.colour is not None) for t in things], device=self.device)
        rgb = torch.where(is_named.view(n, 1, 1, 1) > 0, painted, turned).clamp(0, 1)
        sprites = torch.cat([rgb * alpha, alpha], 1)
        stretches = [thing.variation.stretch if thing.variation else 1.0 for thing in things]
        return stretched(sprites, torch.tensor(stretches, device=self.device))

    def _backgrounds(self, scenes: list[Scene], generator: torch.Generator) -> Tensor:
        canvas = torch.empty(len(scenes), 3, SIZE, SIZE, device=self.device)
        for place in sorted({scene.place for scene in scenes}):
            rows = [i for i, scene in enumerate(scenes) if scene.place == place]
            brush = Brush(len(rows), SIZE, generator, self.device)
            if place == "plain":
                named = [COLOURS[scenes[i].place_colour or "white"] for i in rows]
                canvas[rows] = plain(brush, torch.tensor(named, device=self.device))
            else:
                canvas[rows] = DRAW[place](brush)
        return canvas

    def _place_all(
        self,
        things: list[Thing],
        sprites: Tensor,
        paired: Tensor,
        floor: Tensor,
        slot: int,
        generator: torch.Generator,
        canvas: Tensor,
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Put one object (with shadow and hat) into each image; returns canvas, object alpha, hat alpha."""
        n, spread = len(things), self.spread

        def unit() -> Tensor:
            return torch.rand(n, generator=generator) * 2 - 1

        size = torch.where(paired > 0, 60.0, 94.0) * (1 + spread.size * unit())
        hatted = torch.tensor([float(thing.hat is not None) for thing in things])
        size = size * (1 - torch.where(paired > 0, 0.05, 0.16) * hatted)  # room for the hat
        centre_x = torch.where(paired > 0, 33.0 + 62.0 * slot, 64.0) + spread.shift * unit()
        foot_y = torch.where(paired > 0, 108.0, 117.0) + spread.shift * unit()
        tilt = spread.tilt * unit()
        centre_y = foot_y - size / 2
        layer = placed(sprites, centre_x, centre_y, size, tilt)
        canvas = canvas * (1 - self._shadow(centre_x, foot_y, size, floor))
        canvas = canvas * (1 - layer[:, 3:]) + layer[:, :3]
        hat_layer = torch.zeros_like(layer)
        rows = [i for i, thing in enumerate(things) if thing.hat]
        if rows:
            pick = torch.tensor(rows)
            heads = torch.tensor([self._head(things[i]) for i in rows])
            hats = torch.stack([self.book[things[i].sprite[0], HATS[str(things[i].hat)]] for i in rows])
            dx, dy = (heads[:, 0] - 0.5) * size[pick], (heads[:, 1] - 0.5) * size[pick]
            turn = tilt[pick]
            hat_size = heads[:, 2] * size[pick] * 1.12
            brim_x = centre_x[pick] + dx * torch.cos(turn) - dy * torch.sin(turn)
            brim_y = centre_y[pick] + dx * torch.sin(turn) + dy * torch.cos(turn)
            where = pick.to(self.device)
            hat_layer[where] = placed(hats, brim_x, brim_y - hat_size * 0.38, hat_size, turn)
            canvas = canvas * (1 - hat_layer[:, 3:]) + hat_layer[:, :3]
        return canvas, layer[:, 3:], hat_layer[:, 3:]

    def _head(self, thing: Thing) -> tuple[float, float, float]:
        x, y, width = self.book.head(thing.sprite)
        if thing.variation:
            wide = min(1.0, thing.variation.stretch)
            tall = min(1.0, 1 / thing.variation.stretch)
            return 0.5 + (x - 0.5) * wide, 1 - (1 - y) * tall, width * wide
        return x, y, width

    def _shadow(self, x: Tensor, foot: Tensor, size: Tensor, floor: Tensor) -> Tensor:
        """A soft contact shadow under each object, shape (n, 1, 128, 128); none where `floor` is 0."""
        shape = (-1, 1, 1, 1)
        line = torch.arange(SIZE, device=self.device) + 0.5
        cx, cy, r, on = (t.to(self.device).view(shape) for t in (x, foot - 2, size * 0.38, floor))
        across = ((line.view(1, 1, 1, -1) - cx) / r).square() + (
            (line.view(1, 1, -1, 1) - cy) / (0.16 * r)
        ).square()
        return 0.30 * on * torch.exp(-across)


def mixed(one: Tensor, other: Tensor, share: float) -> Tensor:
    """Two sprites (4, s, s) blended by `share`; a share of 0 puts the other's lower half under the one."""
    if share:
        return one * (1 - share) + other * share
    ramp = torch.linspace(-12, 12, one.shape[-1], device=one.device).sigmoid().view(1, -1, 1)
    return one * (1 - ramp) + other * ramp


def stretched(sprites: Tensor, ratio: Tensor) -> Tensor:
    """Sprites (n, 4, s, s) with width over height times `ratio` (n,), still on the square's lower edge."""
    if bool((ratio == 1).all()):
        return sprites
    wide, tall = ratio.clamp(max=1), (1 / ratio).clamp(max=1)
    zero = torch.zeros_like(wide)
    theta = torch.stack(
        [torch.stack([1 / wide, zero, zero], 1), torch.stack([zero, 1 / tall, 1 - 1 / tall + 0 * tall], 1)], 1
    )
    theta[:, 1, 2] = 1 - 1 / tall
    grid = F.affine_grid(theta, list(sprites.shape), align_corners=False)
    return F.grid_sample(sprites, grid, mode="bilinear", padding_mode="zeros", align_corners=False)


def placed(sprites: Tensor, x: Tensor, y: Tensor, size: Tensor, tilt: Tensor) -> Tensor:
    """Sprites (n, 4, s, s) centred at (x, y) with `size` pixels a side -> (n, 4, 128, 128)."""
    cos, sin = torch.cos(tilt), torch.sin(tilt)
    offset_x, offset_y, gain = 1 - 2 * x / SIZE, 1 - 2 * y / SIZE, SIZE / size
    theta = torch.stack(
        [
            torch.stack([cos * gain, sin * gain, (cos * offset_x + sin * offset_y) * gain], 1),
            torch.stack([-sin * gain, cos * gain, (-sin * offset_x + cos * offset_y) * gain], 1),
        ],
        1,
    ).to(sprites.device)
    grid = F.affine_grid(theta, [len(sprites), 4, SIZE, SIZE], align_corners=False)
    return F.grid_sample(sprites, grid, mode="bilinear", padding_mode="zeros", align_corners=False)


def hue_turned(rgb: Tensor, light: Tensor, angle: Tensor) -> Tensor:
    """Chroma rotated about the grey axis by `angle` (n,) radians (Rodrigues' formula), lightness kept."""
    cos, sin = torch.cos(angle).view(-1, 1, 1, 1), torch.sin(angle).view(-1, 1, 1, 1)
    chroma = rgb - light
    r, g, b = chroma.unbind(1)
    cross = 3.0**-0.5 * torch.stack([b - g, r - b, g - r], 1)
    along = chroma.mean(1, keepdim=True)
    return light + chroma * cos + cross * sin + along * (1 - cos)
