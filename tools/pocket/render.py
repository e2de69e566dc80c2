"""Draw batches of scenes: sprites placed on backgrounds, with captions, masks and exact descriptions."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from tools.pocket.domain import ACCESSORIES, COLOURS
from tools.pocket.paths import work_dir
from tools.pocket.places import DRAW, FLOATING, Brush, plain
from tools.pocket.scene import Odds, Scene, Thing, caption, draw_scene
from tools.pocket.sprites import SpriteBook
from tools.pocket.styles import apply_style

SIZE = 128


@dataclass(frozen=True)
class Batch:
    """A rendered batch.

    images: (n, 3, 128, 128) in [0, 1]. masks: (n, 2, 128, 128) in [0, 1], the visible part of the left and
    the right object without its hat (all zero where there is no second object). covered: (n, 1, 128, 128) in
    [0, 1], how much of a pixel is thing or hat. captions and specs: n each.
    """

    images: Tensor
    masks: Tensor
    covered: Tensor
    captions: list[str]
    specs: list[Scene]


@dataclass(frozen=True)
class Spread:
    """How far placing varies: pixels for positions, fractions for sizes, radians for tilt."""

    shift: float = 3.0
    size: float = 0.05
    tilt: float = 0.03
    stretch: float = 0.03
    hue: float = 0.06
    light: float = 0.04


class Renderer:
    """Draws scenes in batches on one device. All randomness comes from the generator given to each call."""

    def __init__(
        self,
        work: Path | str | None = None,
        device: torch.device | str = "cpu",
        odds: Odds | None = None,
        spread: Spread | None = None,
        allow_held_out: bool = False,
    ) -> None:
        """`allow_held_out` is for making the example photos alone: training never passes it."""
        self.device = torch.device(device)
        self.book = SpriteBook(work_dir(work), self.device, refuse=not allow_held_out)
        self.odds, self.spread = odds or Odds(), spread or Spread()

    def scenes(self, rng: np.random.Generator, n: int) -> Batch:
        """Draw n random scenes with captions in varied wording."""
        specs = [draw_scene(rng, self.odds) for _ in range(n)]
        return self.draw(rng, specs, [caption(spec, rng) for spec in specs])

    def draw(self, rng: np.random.Generator, specs: list[Scene], captions: list[str] | None = None) -> Batch:
        """Draw the given scenes; placing and small variations come from `rng`."""
        generator = torch.Generator().manual_seed(int(rng.integers(2**62)))
        canvas = self._backgrounds(specs, generator)
        n = len(specs)
        masks = torch.zeros(n, 2, SIZE, SIZE, device=self.device)
        covered = torch.zeros(n, 1, SIZE, SIZE, device=self.device)
        for slot in (0, 1):
            rows = [i for i, spec in enumerate(specs) if len(spec.things) > slot]
            if not rows:
                continue
            index = torch.tensor(rows, device=self.device)
            things = [specs[i].things[slot] for i in rows]
            paired = torch.tensor([float(len(specs[i].things) == 2) for i in rows])
            floor = torch.tensor([float(specs[i].place not in FLOATING) for i in rows])
            part, alpha, hat = self._objects(things, paired, floor, slot, generator, canvas[index])
            canvas[index] = part
            drawn = torch.maximum(alpha, hat)
            masks[index] = masks[index] * (1 - drawn)
            covered[index] = torch.maximum(covered[index], drawn)
            masks[index, slot] = (alpha * (1 - hat))[:, 0]
        images = apply_style(canvas.clamp(0, 1), [spec.style for spec in specs])
        return Batch(images, masks, covered, captions or [caption(spec) for spec in specs], specs)

    def _backgrounds(self, specs: list[Scene], generator: torch.Generator) -> Tensor:
        canvas = torch.empty(len(specs), 3, SIZE, SIZE, device=self.device)
        for place in sorted({spec.place for spec in specs}):
            rows = [i for i, spec in enumerate(specs) if spec.place == place]
            brush = Brush(len(rows), SIZE, generator, self.device)
            if place == "plain":
                named = [COLOURS[specs[i].place_colour or "white"] for i in rows]
                canvas[rows] = plain(brush, torch.tensor(named, device=self.device))
            else:
                canvas[rows] = DRAW[place](brush)
        return canvas

    def _objects(
        self,
        things: list[Thing],
        paired: Tensor,
        floor: Tensor,
        slot: int,
        generator: torch.Generator,
        canvas: Tensor,
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Paint one object (with shadow and hat) a picture; return canvas, object alpha and hat alpha."""
        n, spread = len(things), self.spread

        def unit() -> Tensor:
            return torch.rand(n, generator=generator) * 2 - 1

        size = torch.where(paired > 0, 58.0, 84.0) * (1 + spread.size * unit())
        hatted = torch.tensor([float(thing.accessory is not None) for thing in things])
        size = size * (1 - torch.where(paired > 0, 0.04, 0.12) * hatted)  # room for the hat
        centre_x = torch.where(paired > 0, 33.0 + 62.0 * slot, 64.0) + spread.shift * unit()
        foot_y = torch.where(paired > 0, 106.0, 114.0) + spread.shift * unit()
        tilt, flip = spread.tilt * unit(), torch.where(torch.rand(n, generator=generator) < 0.5, -1.0, 1.0)
        wide = 1 + spread.stretch * unit()
        centre_y = foot_y - size / 2
        sprites = self._tinted(things, generator)
        alpha_scale = torch.stack([size * wide * flip, size], 1)
        layer = self._place(sprites, centre_x, centre_y, alpha_scale, tilt)
        canvas = canvas * (1 - self._shadow(centre_x, foot_y, size, floor))
        canvas = canvas * (1 - layer[:, 3:]) + layer[:, :3]
        hat_layer = torch.zeros_like(layer)
        rows = [i for i, thing in enumerate(things) if thing.accessory]
        if rows:
            pick = torch.tensor(rows)
            heads = torch.tensor([self.book.head(things[i].sprite) for i in rows])
            hats = torch.stack([self.book[ACCESSORIES[str(things[i].accessory)]] for i in rows])
            dx = (heads[:, 0] - 0.5) * size[pick] * wide[pick] * flip[pick]
            dy = (heads[:, 1] - 0.5) * size[pick]
            turn = tilt[pick]
            hat_size = heads[:, 2] * size[pick] * 1.12
            brim_x = centre_x[pick] + dx * torch.cos(turn) - dy * torch.sin(turn)
            brim_y = centre_y[pick] + dx * torch.sin(turn) + dy * torch.cos(turn)
            scale = torch.stack([hat_size * flip[pick], hat_size], 1)
            placed = self._place(hats, brim_x, brim_y - hat_size * 0.38, scale, turn)
            where = pick.to(self.device)
            hat_layer[where] = placed
            canvas = canvas * (1 - hat_layer[:, 3:]) + hat_layer[:, :3]
        return canvas, layer[:, 3:], hat_layer[:, 3:]

    def _place(self, sprites: Tensor, x: Tensor, y: Tensor, scale: Tensor, tilt: Tensor) -> Tensor:
        """Sprites (n, 4, s, s) centred at (x, y), signed pixel sizes `scale` (n, 2) -> (n, 4, 128, 128)."""
        cos, sin = torch.cos(tilt), torch.sin(tilt)
        offset_x, offset_y = 1 - 2 * x / SIZE, 1 - 2 * y / SIZE
        gain_x, gain_y = SIZE / scale[:, 0], SIZE / scale[:, 1]
        theta = torch.stack(
            [
                torch.stack([cos * gain_x, sin * gain_x, (cos * offset_x + sin * offset_y) * gain_x], 1),
                torch.stack([-sin * gain_y, cos * gain_y, (-sin * offset_x + cos * offset_y) * gain_y], 1),
            ],
            1,
        ).to(self.device)
        grid = F.affine_grid(theta, [len(sprites), 4, SIZE, SIZE], align_corners=False)
        return F.grid_sample(sprites, grid, mode="bilinear", padding_mode="zeros", align_corners=False)

    def _shadow(self, x: Tensor, foot: Tensor, size: Tensor, floor: Tensor) -> Tensor:
        """A soft contact shadow under each object, shape (n, 1, 128, 128); none where `floor` is 0."""
        shape = (-1, 1, 1, 1)
        line = torch.arange(SIZE, device=self.device) + 0.5
        cx, cy, r, on = (t.to(self.device).view(shape) for t in (x, foot - 2, size * 0.38, floor))
        across = ((line.view(1, 1, 1, -1) - cx) / r).square() + (
            (line.view(1, 1, -1, 1) - cy) / (0.16 * r)
        ).square()
        return 0.30 * on * torch.exp(-across)

    def _tinted(self, things: list[Thing], generator: torch.Generator) -> Tensor:
        """Sprites in their named colour, or in their own with a slight turn of hue and lightness."""
        base = torch.stack([self.book[thing.sprite] for thing in things])
        n, alpha = len(things), base[:, 3:]
        rgb = base[:, :3] / alpha.clamp(min=1e-3)
        weights = torch.tensor([0.30, 0.59, 0.11], device=self.device).view(1, 3, 1, 1)
        light = (rgb * weights).sum(1, keepdim=True)
        mean = (light * alpha).sum((2, 3), keepdim=True) / alpha.sum((2, 3), keepdim=True)
        named = torch.tensor([COLOURS[t.colour] if t.colour else (0.0, 0.0, 0.0) for t in things])
        painted = named.view(n, 3, 1, 1).to(self.device) + 0.85 * (light - mean)
        turned = self._hue_turned(
            rgb, light, self.spread.hue * 6.2832 * (torch.rand(n, generator=generator) * 2 - 1)
        )
        lift = 1 + self.spread.light * (torch.rand(n, generator=generator) * 2 - 1)
        turned = turned * lift.view(n, 1, 1, 1).to(self.device)
        is_named = torch.tensor([float(t.colour is not None) for t in things], device=self.device).view(
            n, 1, 1, 1
        )
        rgb = (painted * is_named + turned * (1 - is_named)).clamp(0, 1)
        return torch.cat([rgb * alpha, alpha], 1)

    def _hue_turned(self, rgb: Tensor, light: Tensor, angle: Tensor) -> Tensor:
        """Rotate chroma about the grey axis by `angle` radians a picture (Rodrigues), keeping lightness."""
        cos = torch.cos(angle).view(-1, 1, 1, 1).to(self.device)
        sin = torch.sin(angle).view(-1, 1, 1, 1).to(self.device)
        chroma = rgb - light
        r, g, b = chroma.unbind(1)
        axis = 3.0**-0.5
        cross = axis * torch.stack([b - g, r - b, g - r], 1)
        along = chroma.mean(1, keepdim=True)
        return light + chroma * cos + cross * sin + along * (1 - cos)
