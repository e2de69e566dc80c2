"""A front as a drawing: likeness to the photos against likeness to the prompt, a point for each gate bias."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from perfusion_core.ui.words import escape

WIDTH, HEIGHT, EDGE = 460, 340, 44


@dataclass(frozen=True)
class Dot:
    """One point: its picture's number, gate bias and scores."""

    pick: int
    bias: float
    image: float
    text: float


def scatter(dots: Sequence[Dot], marked: int | None) -> str:
    """An SVG with the points joined in the order of their bias; `marked` is the recommended point's "
    "number."""
    if not dots:
        return ""
    across = _scale([dot.text for dot in dots], EDGE, WIDTH - 20)
    up = _scale([dot.image for dot in dots], HEIGHT - EDGE, 20)
    named = {marked, dots[0].pick, dots[-1].pick}  # names on every point would cover each other
    line = " ".join(
        f"{across(dot.text):.1f},{up(dot.image):.1f}" for dot in sorted(dots, key=lambda dot: dot.bias)
    )
    circles = "".join(
        _dot(dot, across(dot.text), up(dot.image), dot.pick == marked, dot.pick in named) for dot in dots
    )
    return (
        f'<svg class="front" viewBox="0 0 {WIDTH} {HEIGHT}" role="group" aria-label="Front of {len(dots)} '
        'points">'
        f'<path class="axes" d="M{EDGE} 12V{HEIGHT - EDGE}H{WIDTH - 12}"/>'
        f'<text class="axis" x="{WIDTH - 14}" y="{HEIGHT - 14}" text-anchor="end">like the prompt →</text>'
        '<text class="axis" transform="translate(20 14) rotate(-90)" text-anchor="end">like the photos →'
        "</text>"
        f'<polyline points="{line}"/>{circles}</svg>'
    )


def _dot(dot: Dot, x: float, y: float, marked: bool, named: bool) -> str:
    words = f"bias {dot.bias:.2f}: photos {dot.image:.3f}, prompt {dot.text:.3f}"
    kind = "dot dot-marked" if marked else "dot"
    label = f'<text x="{x:.1f}" y="{y - 13:.1f}" text-anchor="middle">{dot.bias:.2f}</text>' if named else ""
    return (
        f'<g class="{kind}" data-pick="{dot.pick}" tabindex="0" role="button" aria-label="{escape(words)}">'
        f'<circle class="reach" cx="{x:.1f}" cy="{y:.1f}" r="14"/><circle cx="{x:.1f}" cy="{y:.1f}" '
        f'r="{8 if marked else 6}"/>'
        f"{label}<title>{escape(words)}</title></g>"
    )


def _scale(values: Sequence[float], start: float, end: float):
    low, high = min(values), max(values)
    room = (high - low) * 0.12 or 0.01

    def place(value: float) -> float:
        return start + (value - low + room) / (high - low + 2 * room) * (end - start)

    return place
