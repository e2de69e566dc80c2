"""Backgrounds drawn procedurally, a whole batch at once: soft, simple, and recognisable at 128 pixels."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

Rgb = tuple[float, float, float]


class Brush:
    """Painting on a batch of canvases (n, 3, size, size) with one random stream; y points down, both 0..1."""

    def __init__(self, n: int, size: int, generator: torch.Generator, device: torch.device) -> None:
        self.n, self.size, self.generator, self.device = n, size, generator, device
        line = (torch.arange(size, device=device) + 0.5) / size
        self.x, self.y = line.view(1, 1, 1, size), line.view(1, 1, size, 1)

    def _random(self, channels: int) -> Tensor:
        """Uniform numbers (n, channels, 1, 1), drawn where the generator lives: on a GPU no copy waits."""
        where = self.generator.device
        made = torch.rand(self.n, channels, 1, 1, generator=self.generator, device=where)
        return made.to(self.device)

    def draw(self, low: float, high: float) -> Tensor:
        """One uniform number a picture, shape (n, 1, 1, 1)."""
        unit = self._random(1)
        return low + (high - low) * unit

    def colour(self, rgb: Rgb, jitter: float = 0.02) -> Tensor:
        """A colour with a little variation of lightness and hue, shape (n, 3, 1, 1)."""
        base = torch.tensor(rgb, device=self.device).view(1, 3, 1, 1)
        return base + (self._random(1) - 0.5) * 2 * jitter + (self._random(3) - 0.5) * jitter

    def edge(self, signed: Tensor, width: float = 0.012) -> Tensor:
        """Soft cover in [0, 1] of where the signed distance is positive."""
        return torch.sigmoid(signed * (2.0 / width))

    def disc(self, cx: Tensor | float, cy: Tensor | float, rx: Tensor | float, ry: Tensor | float) -> Tensor:
        """Soft cover of an ellipse, shape (n, 1, size, size)."""
        radius = ((self.x - cx) / rx).square() + ((self.y - cy) / ry).square()
        return self.edge((1 - radius.sqrt()) * ry)

    def blend(self, top: Tensor, bottom: Tensor) -> Tensor:
        """Vertical gradient between two colours, shape (n, 3, size, size)."""
        return (top + (bottom - top) * self.y).expand(self.n, 3, self.size, self.size)

    def over(self, canvas: Tensor, cover: Tensor, colour: Tensor) -> Tensor:
        """Paint `colour` where `cover` is 1."""
        return canvas + (colour - canvas) * cover


def _clouds(b: Brush, canvas: Tensor, rgb: Rgb, count: int = 2) -> Tensor:
    for k in range(count):
        cx, cy = b.draw(0.1 + 0.5 * k, 0.4 + 0.5 * k), b.draw(0.10, 0.20)
        for dx, dy, r in ((-0.08, 0.01, 0.06), (0.0, -0.02, 0.08), (0.09, 0.015, 0.055)):
            canvas = b.over(canvas, b.disc(cx + dx, cy + dy, r * 1.3, r * 0.75), b.colour(rgb, 0.0))
    return canvas


def _ground(b: Brush, canvas: Tensor, near: Rgb, far: Rgb, low: float, high: float, roll: float) -> Tensor:
    horizon = b.draw(low, high) + roll * torch.sin(b.x * 6.0 + b.draw(0, 6.28))
    depth = ((b.y - horizon) / (1 - horizon)).clamp(0, 1)
    colour = b.colour(far) + (b.colour(near) - b.colour(far, 0.0)) * depth
    return b.over(canvas, b.edge(b.y - horizon), colour)


def grass(b: Brush) -> Tensor:
    """Blue sky, clouds and rolling green."""
    canvas = b.blend(b.colour((0.48, 0.76, 0.96)), b.colour((0.86, 0.94, 0.99)))
    canvas = _clouds(b, canvas, (0.99, 0.99, 1.0))
    canvas = _ground(b, canvas, (0.38, 0.66, 0.25), (0.60, 0.82, 0.42), 0.50, 0.54, 0.015)
    return _ground(b, canvas, (0.36, 0.66, 0.22), (0.50, 0.76, 0.32), 0.62, 0.66, 0.02)


def beach(b: Brush) -> Tensor:
    """Sun, turquoise sea and sand."""
    canvas = b.blend(b.colour((0.53, 0.82, 0.97)), b.colour((0.93, 0.97, 0.97)))
    canvas = b.over(
        canvas, b.disc(b.draw(0.78, 0.86), b.draw(0.13, 0.18), 0.085, 0.085), b.colour((1.0, 0.88, 0.42))
    )
    canvas = _ground(b, canvas, (0.22, 0.74, 0.80), (0.10, 0.52, 0.76), 0.45, 0.48, 0.0)
    shore = b.draw(0.63, 0.66) + 0.012 * torch.sin(b.x * 9.0 + b.draw(0, 6.28))
    canvas = b.over(canvas, b.edge(b.y - shore + 0.025), b.colour((0.95, 0.98, 0.98)))
    sand = b.colour((0.98, 0.89, 0.68)) + (b.colour((0.90, 0.76, 0.51)) - 0.98 + 0.06) * (b.y - 0.6)
    return b.over(canvas, b.edge(b.y - shore), sand)


def snow(b: Brush) -> Tensor:
    """Pale sky, a far white hill and fresh snow with a few flakes."""
    canvas = b.blend(b.colour((0.62, 0.74, 0.88)), b.colour((0.88, 0.92, 0.97)))
    cx = b.draw(0.2, 0.8)
    peak = b.draw(0.30, 0.34) + (b.x - cx).abs() * 0.55
    canvas = b.over(canvas, b.edge(b.y - peak), b.colour((0.74, 0.82, 0.92)))
    canvas = _ground(b, canvas, (0.88, 0.92, 0.97), (0.98, 0.99, 1.0), 0.57, 0.61, 0.02)
    for k in range(6):
        canvas = b.over(
            canvas,
            b.disc(b.draw(k / 6, (k + 1) / 6), b.draw(0.05, 0.5), 0.014, 0.014),
            b.colour((1, 1, 1), 0),
        )
    return canvas


def space(b: Brush) -> Tensor:
    """Deep blue, a ringed planet and stars."""
    canvas = b.blend(b.colour((0.05, 0.05, 0.16)), b.colour((0.16, 0.09, 0.30)))
    cx, cy = b.draw(0.12, 0.20), b.draw(0.16, 0.22)
    canvas = b.over(canvas, b.disc(cx, cy, 0.18, 0.035), b.colour((0.85, 0.72, 0.52)))
    canvas = b.over(canvas, b.disc(cx, cy - 0.01, 0.10, 0.10), b.colour((0.88, 0.52, 0.40), 0.05))
    for k in range(9):
        side = b.draw(0.04, 0.96) if k < 4 else b.draw(0.82, 0.97) if k % 2 else b.draw(0.03, 0.18)
        height = b.draw(0.03, 0.14) if k < 4 else b.draw(0.3, 0.95)
        canvas = b.over(canvas, b.disc(side, height, 0.011, 0.011), b.colour((1, 0.97, 0.85), 0))
    return canvas


def table(b: Brush) -> Tensor:
    """A wooden table top before a warm wall."""
    canvas = b.blend(b.colour((0.96, 0.90, 0.80)), b.colour((0.90, 0.80, 0.67)))
    horizon = b.draw(0.56, 0.60)
    depth = (b.y - horizon).clamp(min=0)
    plank = 0.03 * torch.sin((b.x - 0.5) / (0.35 + depth) * 12.0 + b.draw(0, 6.28))
    wood = b.colour((0.72, 0.47, 0.27)) + plank - 0.12 * depth
    canvas = b.over(canvas, b.edge(b.y - horizon), wood)
    return b.over(canvas, b.edge(0.014 - (b.y - horizon - 0.012).abs()), b.colour((0.84, 0.61, 0.39)))


def desert(b: Brush) -> Tensor:
    """Hot sky and orange dunes."""
    canvas = b.blend(b.colour((0.99, 0.72, 0.45)), b.colour((1.0, 0.90, 0.66)))
    canvas = b.over(
        canvas, b.disc(b.draw(0.16, 0.24), b.draw(0.14, 0.19), 0.08, 0.08), b.colour((1.0, 0.96, 0.80))
    )
    canvas = _ground(b, canvas, (0.86, 0.58, 0.32), (0.92, 0.67, 0.40), 0.48, 0.52, 0.035)
    return _ground(b, canvas, (0.85, 0.56, 0.28), (0.96, 0.72, 0.42), 0.62, 0.66, 0.025)


def sea(b: Brush) -> Tensor:
    """Under water: light from above, bubbles, weed and a sandy floor."""
    canvas = b.blend(b.colour((0.30, 0.78, 0.90)), b.colour((0.03, 0.27, 0.55)))
    ray = 0.06 * torch.sin((b.x - 0.5) / (0.3 + b.y) * 9 + b.draw(0, 6.28)) * (1 - b.y)
    canvas = canvas + ray
    for k in range(5):
        side = b.draw(0.04, 0.16) if k % 2 else b.draw(0.84, 0.96)
        radius = 0.016 + 0.006 * (k % 3)
        canvas = b.over(
            canvas,
            0.75 * b.disc(side, b.draw(0.1 + 0.12 * k, 0.2 + 0.12 * k), radius, radius),
            b.colour((0.85, 0.97, 1), 0),
        )
    for centre in (0.07, 0.93):
        bend = b.draw(centre - 0.02, centre + 0.02) + 0.018 * torch.sin(b.y * 22 + b.draw(0, 6.28))
        weed = b.edge(0.022 - (b.x - bend).abs()) * b.edge(b.y - b.draw(0.60, 0.68))
        canvas = b.over(canvas, weed, b.colour((0.12, 0.55, 0.36)))
    return _ground(b, canvas, (0.72, 0.70, 0.52), (0.60, 0.68, 0.58), 0.84, 0.87, 0.012)


def night(b: Brush) -> Tensor:
    """A dark meadow under moon and stars."""
    canvas = b.blend(b.colour((0.05, 0.08, 0.24)), b.colour((0.20, 0.26, 0.50)))
    cx, cy = b.draw(0.80, 0.87), b.draw(0.14, 0.18)
    moon = b.disc(cx, cy, 0.085, 0.085) * (1 - b.disc(cx + 0.045, cy - 0.03, 0.075, 0.075))
    canvas = b.over(canvas, moon, b.colour((0.99, 0.95, 0.78)))
    for k in range(6):
        canvas = b.over(
            canvas,
            b.disc(b.draw(k / 9, (k + 1) / 9), b.draw(0.04, 0.4), 0.010, 0.010),
            b.colour((0.95, 0.95, 1), 0),
        )
    return _ground(b, canvas, (0.06, 0.14, 0.16), (0.12, 0.24, 0.26), 0.62, 0.66, 0.02)


def brick(b: Brush) -> Tensor:
    """A brick wall above a pavement."""
    rows = 7.0
    row = b.y * rows + b.draw(0, 0.3)
    along = b.x * 3.5 + 0.5 * (row.floor() % 2) + b.draw(0, 0.5)
    gap_y = ((row % 1.0) - 0.5).abs() - 0.44
    gap_x = ((along % 1.0) - 0.5).abs() - 0.465
    mortar = torch.maximum(b.edge(gap_y / rows, 0.012), b.edge(gap_x / 3.5, 0.012))
    shade = 0.025 * torch.sin(along.floor() * 2.4 + row.floor() * 4.1)
    canvas = b.colour((0.72, 0.33, 0.24)) + shade
    canvas = b.over(canvas, mortar, b.colour((0.85, 0.76, 0.68)))
    return _ground(b, canvas, (0.62, 0.60, 0.60), (0.74, 0.72, 0.71), 0.77, 0.80, 0.0)


def city(b: Brush) -> Tensor:
    """Towers with lit windows behind a grey street."""
    canvas = b.blend(b.colour((0.72, 0.84, 0.95)), b.colour((0.97, 0.92, 0.86)))
    shades: tuple[Rgb, ...] = (
        (0.47, 0.55, 0.68),
        (0.58, 0.64, 0.74),
        (0.42, 0.50, 0.63),
        (0.55, 0.60, 0.72),
        (0.46, 0.53, 0.66),
    )
    roofs = (0.14, 0.34, 0.22, 0.38, 0.12)
    for k, (rgb, roof) in enumerate(zip(shades, roofs, strict=True)):
        centre, top = b.draw(0.09 + 0.205 * k, 0.11 + 0.205 * k), b.draw(roof, roof + 0.06)
        tower = b.edge(0.098 - (b.x - centre).abs()) * b.edge(b.y - top)
        canvas = b.over(canvas, tower, b.colour(rgb))
        cell_x, cell_y = (b.x - centre) / 0.065 + 0.5, (b.y - top) / 0.085
        lit = b.edge(0.27 - ((cell_x % 1.0) - 0.5).abs(), 0.15) * b.edge(
            0.24 - ((cell_y % 1.0) - 0.5).abs(), 0.15
        )
        lit = lit * (cell_x.abs() < 2) * ((b.x - centre).abs() < 0.085) * (b.y > top + 0.01)
        canvas = b.over(canvas, lit, b.colour((0.98, 0.90, 0.62)))
    canvas = _ground(b, canvas, (0.42, 0.43, 0.47), (0.56, 0.57, 0.60), 0.68, 0.71, 0.0)
    stripe = b.edge(0.012 - (b.y - 0.94).abs()) * b.edge(
        0.25 - (((b.x * 2.5 + b.draw(0, 1)) % 1.0) - 0.5).abs(), 0.05
    )
    return b.over(canvas, stripe, b.colour((0.95, 0.93, 0.85)))


def forest(b: Brush) -> Tensor:
    """Green light between trunks, a mossy floor."""
    canvas = b.blend(b.colour((0.60, 0.80, 0.50)), b.colour((0.82, 0.92, 0.62)))
    for k in range(4):
        wide = 0.036 + 0.008 * (k % 2)
        trunk = b.edge(wide - (b.x - b.draw(0.06 + 0.27 * k, 0.12 + 0.27 * k)).abs())
        canvas = b.over(canvas, trunk, b.colour((0.42, 0.30, 0.20)))
    for k in range(5):
        canvas = b.over(
            canvas,
            b.disc(b.draw(0.22 * k, 0.22 * k + 0.1), b.draw(-0.02, 0.06), 0.17, 0.17),
            b.colour((0.20, 0.48, 0.20), 0.04),
        )
    return _ground(b, canvas, (0.24, 0.42, 0.17), (0.40, 0.58, 0.25), 0.66, 0.70, 0.015)


def plain(b: Brush, colours: Tensor) -> Tensor:
    """A studio backdrop of the named colours (n, 3): a little light in the middle, a soft floor line."""
    base = colours.view(b.n, 3, 1, 1) + b.colour((0.0, 0.0, 0.0), 0.025)
    glow = torch.exp(-((b.x - 0.5).square() + (b.y - 0.45).square()) * 5)
    return base + 0.10 * (glow - 0.5)


DRAW: dict[str, Callable[[Brush], Tensor]] = {
    "grass": grass, "beach": beach, "snow": snow, "space": space, "table": table, "desert": desert,
    "sea": sea, "night": night, "brick": brick, "city": city, "forest": forest,
}  # fmt: skip

# Places where nothing stands on a floor, so nothing casts a shadow on one.
FLOATING = frozenset({"space", "sea"})
