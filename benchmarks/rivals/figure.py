"""Fronts as a picture: one SVG for light pages and one for dark ones, without any library."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from math import ceil, floor
from pathlib import Path

from benchmarks.rivals.results import MethodResult, Regime
from perfusion_core.evaluation import FrontPoint

WIDTH, HEIGHT = 860, 520
LEFT, TOP, RIGHT, BOTTOM = 70, 20, 300, 60  # margins; the names stand on the right
THEMES = {"light": ("#ffffff", "#24292f", "#d0d7de"), "dark": ("#0d1117", "#e6edf3", "#30363d")}
# Okabe and Ito's colours, told apart by most colour-blind people; ours first, in the strongest ones.
_OURS = ("#d55e00", "#e69f00", "#cc79a7", "#b8860b")
_RIVALS = ("#0072b2", "#009e73", "#56b4e9", "#7f7fff", "#8c8c8c", "#4fb3a5", "#a0785a", "#6a8caf")


def write_fronts(regime: Regime, folder: Path) -> list[Path]:
    """fronts-<regime>-light.svg and -dark.svg in `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for theme in THEMES:
        path = folder / f"fronts-{regime.name}-{theme}.svg"
        path.write_text(fronts_svg(regime, theme), encoding="utf-8")
        paths.append(path)
    return paths


def fronts_svg(regime: Regime, theme: str) -> str:
    """Image similarity to the right, text similarity up; every method's operating points in order, joined."""
    ground, ink, lines = THEMES[theme]
    lows_highs = _extent(regime)
    fronts = [(result, result.front.points()) for result in regime.methods]
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" '
        'font-family="system-ui, sans-serif" font-size="12" role="img">',
        f"<title>{escape(regime.title)}</title>",
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="{ground}"/>',
        *_axes(lows_highs, ink, lines),
    ]
    x, y = _place(lows_highs, *regime.reference)
    parts.append(
        f'<path d="M{x - 6:.1f} {y:.1f}h12M{x:.1f} {y - 6:.1f}v12" stroke="{ink}" stroke-width="2">'
        "<title>reference of the hypervolume</title></path>"
    )
    for (result, points), colour in zip(fronts, _colours(regime.methods), strict=True):
        parts += _front(result, points, lows_highs, colour)
    parts += _legend(regime.methods, ink)
    return "\n".join([*parts, "</svg>", ""])


Extent = tuple[float, float, float, float]  # image low, high, text low, high


def _extent(regime: Regime) -> Extent:
    points = [point for result in regime.methods for point in result.front.points()]
    images = [regime.reference[0], *(point.image for point in points)]
    texts = [regime.reference[1], *(point.text for point in points)]
    return *_rounded(min(images), max(images)), *_rounded(min(texts), max(texts))


def _rounded(low: float, high: float) -> tuple[float, float]:
    """The numbers with room around them, on a step that the ticks can be written with."""
    step = _step(low, high)
    return floor(low / step) * step, ceil(high / step) * step + (step if high == low else 0)


def _step(low: float, high: float) -> float:
    return next(step for step in (0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5) if (high - low) / step <= 8)


def _place(extent: Extent, image: float, text: float) -> tuple[float, float]:
    left, right, bottom, top = extent
    x = LEFT + (image - left) / (right - left) * (WIDTH - LEFT - RIGHT)
    y = HEIGHT - BOTTOM - (text - bottom) / (top - bottom) * (HEIGHT - TOP - BOTTOM)
    return x, y


def _axes(extent: Extent, ink: str, lines: str) -> list[str]:
    left, right, bottom, top = extent
    parts = []
    for image in _ticks(left, right):
        x, _ = _place(extent, image, bottom)
        parts.append(f'<path d="M{x:.1f} {TOP}V{HEIGHT - BOTTOM}" stroke="{lines}"/>')
        place = f'x="{x:.1f}" y="{HEIGHT - BOTTOM + 18}"'
        parts.append(f'<text {place} text-anchor="middle" fill="{ink}">{image:.3g}</text>')
    for text in _ticks(bottom, top):
        _, y = _place(extent, left, text)
        parts.append(f'<path d="M{LEFT} {y:.1f}H{WIDTH - RIGHT}" stroke="{lines}"/>')
        parts.append(f'<text x="{LEFT - 8}" y="{y + 4:.1f}" text-anchor="end" fill="{ink}">{text:.3g}</text>')
    middle = (LEFT + WIDTH - RIGHT) / 2
    parts.append(
        f'<text x="{middle}" y="{HEIGHT - 18}" text-anchor="middle" fill="{ink}">image similarity</text>'
    )
    parts.append(
        f'<text transform="translate(18 {(TOP + HEIGHT - BOTTOM) / 2}) rotate(-90)" text-anchor="middle" '
        f'fill="{ink}">text similarity</text>'
    )
    return parts


def _ticks(low: float, high: float) -> list[float]:
    step = _step(low, high)
    return [round(low + k * step, 6) for k in range(round((high - low) / step) + 1)]


def _front(result: MethodResult, points: Sequence[FrontPoint], extent: Extent, colour: str) -> list[str]:
    places = [_place(extent, point.image, point.text) for point in points]
    path = "M" + "L".join(f"{x:.1f} {y:.1f}" for x, y in places)
    width, dash = (2.5, "") if result.ours else (1.5, ' stroke-dasharray="5 3"')
    parts = [f'<path d="{path}" fill="none" stroke="{colour}" stroke-width="{width}"{dash}/>']
    for label, (x, y) in zip(result.points, places, strict=True):
        said = escape(f"{result.title}, {label}")
        parts.append(
            f'<circle cx="{x:.1f}" cy="{y:.1f}" r="4" fill="{colour}"><title>{said}</title></circle>'
        )
    return parts


def _colours(methods: Sequence[MethodResult]) -> list[str]:
    ours, rivals = iter(_OURS * 4), iter(_RIVALS * 4)
    return [next(ours) if method.ours else next(rivals) for method in methods]


def _legend(methods: Sequence[MethodResult], ink: str) -> list[str]:
    parts = []
    for row, (method, colour) in enumerate(zip(methods, _colours(methods), strict=True)):
        x, y = WIDTH - RIGHT + 20, TOP + 14 + row * 22
        parts.append(f'<circle cx="{x}" cy="{y - 4}" r="5" fill="{colour}"/>')
        parts.append(f'<text x="{x + 12}" y="{y}" fill="{ink}">{escape(method.title)}</text>')
    y = TOP + 14 + len(methods) * 22
    parts.append(
        f'<text x="{WIDTH - RIGHT + 20}" y="{y}" fill="{ink}">+  reference of the hypervolume</text>'
    )
    return parts
