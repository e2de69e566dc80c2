"""Render batches of scenes: sprites, varied or plain, placed on backgrounds, with masks and code images."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from tools.pocket.paths import work_dir
from tools.pocket.places import DRAW, FLOATING, Brush, plain
from tools.pocket.scene import Odds, Scene, Thing, World
from tools.pocket.sprites import SpriteBook
from tools.pocket.styles import apply_style
from tools.pocket.table import PLACE_NAMES, STYLE_NAMES, Table, Things, draw_table
from tools.pocket.things import ARTS, COLOURS, HATS, NUMBER, all_kinds, kinds

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
    table: Table

    @cached_property
    def scenes(self) -> list[Scene]:
        """What the images show, one by one."""
        return self.table.scenes()


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
        self._colours = torch.tensor(list(COLOURS.values()), device=self.device)
        self._hats = torch.tensor([[NUMBER[art, code] for code in HATS.values()] for art in ARTS])

    def scenes(self, rng: np.random.Generator, n: int) -> Batch:
        """Render n random scenes."""
        return self.draw(rng, draw_table(rng, self.odds, self.world, n))

    def draw(self, rng: np.random.Generator, scenes: Sequence[Scene] | Table) -> Batch:
        """Render the given scenes; placing and small variations come from `rng`."""
        table = scenes if isinstance(scenes, Table) else Table.of(scenes)
        generator = torch.Generator(self.device).manual_seed(int(rng.integers(2**62)))
        canvas = self._backgrounds(table, generator)
        n = len(table)
        masks = torch.zeros(n, 2, SIZE, SIZE, device=self.device)
        covered = torch.zeros(n, 1, SIZE, SIZE, device=self.device)
        looks = torch.zeros(n, 2, 4, CODE_SIZE, CODE_SIZE, device=self.device)
        floating = torch.isin(table.place, torch.tensor([PLACE_NAMES.index(name) for name in FLOATING]))
        for slot in (0, 1):
            rows = torch.nonzero(table.pair).flatten() if slot else torch.arange(n)
            if not len(rows):
                continue
            index, things = rows.to(self.device), table.things[rows, slot]
            sprites = self.looks(things, generator)
            small = F.interpolate(
                sprites, size=CODE_SIZE, mode="bilinear", antialias=True, align_corners=False
            )
            looks[index, slot] = small.clamp(0, 1)
            paired, floor = (values[rows].float().to(self.device) for values in (table.pair, ~floating))
            part, alpha, hat = self._place_all(things, sprites, paired, floor, slot, generator, canvas[index])
            canvas[index] = part
            drawn = torch.maximum(alpha, hat)
            masks[index] = masks[index] * (1 - drawn)
            covered[index] = torch.maximum(covered[index], drawn)
            masks[index, slot] = (alpha * (1 - hat))[:, 0]
        images = apply_style(canvas.clamp(0, 1), [STYLE_NAMES[style] for style in table.style.tolist()])
        return Batch(images, masks, covered, looks, table)

    def looks(self, things: Sequence[Thing] | Things, generator: torch.Generator | None = None) -> Tensor:
        """Premultiplied RGBA (n, 4, 112, 112) of things as they are drawn, before they are placed.

        Without `generator`, without the small random turns of hue and lightness that plain looks get.
        """
        things = things if isinstance(things, Things) else Things.of(things)
        base, n = self.book[things.sprite], len(things.sprite)
        if len(rows := torch.nonzero(things.partner >= 0).flatten()):
            index = rows.to(self.device)
            partner, share = self.book[things.partner[rows]], things.share[rows].to(self.device)
            base[index] = mixed(base[index], partner, share)
        alpha = base[:, 3:]
        rgb = base[:, :3] / alpha.clamp(min=1e-3)
        weights = torch.tensor(LIGHT, device=self.device).view(1, 3, 1, 1)
        light = (rgb * weights).sum(1, keepdim=True)
        turns, lift = things.hue.to(self.device), torch.ones(n, device=self.device)
        if generator is not None:
            turns = turns + self.spread.hue * 2 * np.pi * self._unit(n, generator)
            lift = 1 + self.spread.light * self._unit(n, generator)
        turned = hue_turned(rgb, light, turns) * lift.view(n, 1, 1, 1)
        colour = things.colour.to(self.device)
        named = self._colours[colour.clamp(min=0)]
        mean = (light * alpha).sum((2, 3), keepdim=True) / alpha.sum((2, 3), keepdim=True).clamp(min=1e-3)
        painted = named.view(n, 3, 1, 1) + 0.85 * (light - mean)
        rgb = torch.where((colour >= 0).view(n, 1, 1, 1), painted, turned).clamp(0, 1)
        sprites = torch.cat([rgb * alpha, alpha], 1)
        if len(rows := torch.nonzero(things.stretch != 1).flatten()):
            index = rows.to(self.device)
            sprites[index] = stretched(sprites[index], things.stretch[rows].to(self.device))
        return sprites

    def _unit(self, n: int, generator: torch.Generator) -> Tensor:
        """Uniform numbers (n,) in [-1, 1)."""
        return torch.rand(n, generator=generator, device=generator.device) * 2 - 1

    def _backgrounds(self, table: Table, generator: torch.Generator) -> Tensor:
        canvas = torch.empty(len(table), 3, SIZE, SIZE, device=self.device)
        for number, place in enumerate(PLACE_NAMES):
            rows = torch.nonzero(table.place == number).flatten()
            if not len(rows):
                continue
            brush = Brush(len(rows), SIZE, generator, self.device)
            if place == "plain":
                painted = plain(brush, self._colours[table.backdrop[rows].to(self.device)])
            else:
                painted = DRAW[place](brush)
            canvas[rows.to(self.device)] = painted
        return canvas

    def _place_all(
        self,
        things: Things,
        sprites: Tensor,
        paired: Tensor,
        floor: Tensor,
        slot: int,
        generator: torch.Generator,
        canvas: Tensor,
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Put one object (with shadow and hat) into each image; returns canvas, object alpha, hat alpha."""
        n, spread = len(sprites), self.spread
        shift_x, shift_y, sizes, tilt = (self._unit(n, generator) for _ in range(4))
        size = torch.where(paired > 0, 60.0, 94.0) * (1 + spread.size * sizes)
        hatted = (things.hat >= 0).float().to(self.device)
        size = size * (1 - torch.where(paired > 0, 0.05, 0.16) * hatted)  # room for the hat
        centre_x = torch.where(paired > 0, 33.0 + 62.0 * slot, 64.0) + spread.shift * shift_x
        foot_y = torch.where(paired > 0, 108.0, 117.0) + spread.shift * shift_y
        tilt, centre_y = spread.tilt * tilt, foot_y - size / 2
        layer = placed(sprites, centre_x, centre_y, size, tilt)
        canvas = canvas * (1 - self._shadow(centre_x, foot_y, size, floor))
        canvas = canvas * (1 - layer[:, 3:]) + layer[:, :3]
        hat_layer = torch.zeros_like(layer)
        if len(rows := torch.nonzero(things.hat >= 0).flatten()):
            where = rows.to(self.device)
            heads = self._heads(things[rows])
            hats = self.book[self._hats[things.sprite[rows] // len(all_kinds()), things.hat[rows]]]
            dx, dy = (heads[:, 0] - 0.5) * size[where], (heads[:, 1] - 0.5) * size[where]
            turn, hat_size = tilt[where], heads[:, 2] * size[where] * 1.12
            brim_x = centre_x[where] + dx * torch.cos(turn) - dy * torch.sin(turn)
            brim_y = centre_y[where] + dx * torch.sin(turn) + dy * torch.cos(turn)
            hat_layer[where] = placed(hats, brim_x, brim_y - hat_size * 0.38, hat_size, turn)
            canvas = canvas * (1 - hat_layer[:, 3:]) + hat_layer[:, :3]
        return canvas, layer[:, 3:], hat_layer[:, 3:]

    def _heads(self, things: Things) -> Tensor:
        """Where hats sit on things as they are stretched, (m, 3)."""
        x, y, width = self.book.heads(things.sprite).unbind(1)
        stretch = things.stretch.to(self.device)
        wide, tall = stretch.clamp(max=1), (1 / stretch).clamp(max=1)
        return torch.stack([0.5 + (x - 0.5) * wide, 1 - (1 - y) * tall, width * wide], 1)

    def _shadow(self, x: Tensor, foot: Tensor, size: Tensor, floor: Tensor) -> Tensor:
        """A soft contact shadow under each object, shape (n, 1, 128, 128); none where `floor` is 0."""
        shape = (-1, 1, 1, 1)
        line = torch.arange(SIZE, device=self.device) + 0.5
        cx, cy, r, on = (t.view(shape) for t in (x, foot - 2, size * 0.38, floor))
        across = ((line.view(1, 1, 1, -1) - cx) / r).square() + (
            (line.view(1, 1, -1, 1) - cy) / (0.16 * r)
        ).square()
        return 0.30 * on * torch.exp(-across)


def mixed(one: Tensor, other: Tensor, share: Tensor) -> Tensor:
    """Sprites (m, 4, s, s) blended by shares (m,); a share of 0 puts the other's lower half under the one."""
    ramp = torch.linspace(-12, 12, one.shape[-1], device=one.device).sigmoid().view(1, 1, -1, 1)
    weight = torch.where(share.view(-1, 1, 1, 1) > 0, share.view(-1, 1, 1, 1), ramp)
    return one + (other - one) * weight


def stretched(sprites: Tensor, ratio: Tensor) -> Tensor:
    """Sprites (n, 4, s, s) with width over height times `ratio` (n,), still on the square's lower edge."""
    wide, tall = ratio.clamp(max=1), (1 / ratio).clamp(max=1)
    zero = torch.zeros_like(wide)
    theta = torch.stack(
        [torch.stack([1 / wide, zero, zero], 1), torch.stack([zero, 1 / tall, 1 - 1 / tall], 1)], 1
    )
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
