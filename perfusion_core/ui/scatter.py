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


def scatter(dots: Sequence[Dot], marked: int | None, reference: tuple[float, float] | None) -> str:
    """An SVG with the points joined in the order of their bias.

    `marked` is the recommended point's number; `reference` the (image, text) scores of the untaught base model.
    """
    if not dots:
        return ""
    texts = [dot.text for dot in dots] + ([reference[1]] if reference else [])
    images = [dot.image for dot in dots] + ([reference[0]] if reference else [])
    across, up = _scale(texts, EDGE, WIDTH - 20), _scale(images, HEIGHT - EDGE, 20)
    line = " ".join(f"{across(dot.text):.1f},{up(dot.image):.1f}" for dot in sorted(dots, key=lambda dot: dot.bias))
    circles = "".join(_dot(dot, across(dot.text), up(dot.image), dot.pick == marked) for dot in dots)
    untaught = ""
    if reference:
        x, y = across(reference[1]), up(reference[0])
        untaught = (
            f'<g class="untaught"><rect x="{x - 5:.1f}" y="{y - 5:.1f}" width="10" height="10"/>'
            f'<text x="{x + 10:.1f}" y="{y + 4:.1f}">not taught</text></g>'
        )
    return (
        f'<svg class="front" viewBox="0 0 {WIDTH} {HEIGHT}" role="group" aria-label="Front of {len(dots)} points">'
        f'<path class="axes" d="M{EDGE} 12V{HEIGHT - EDGE}H{WIDTH - 12}"/>'
        f'<text class="axis" x="{WIDTH - 14}" y="{HEIGHT - 14}" text-anchor="end">like the prompt →</text>'
        f'<text class="axis" transform="translate(20 14) rotate(-90)" text-anchor="end">like the photos →</text>'
        f'<polyline points="{line}"/>{untaught}{circles}</svg>'
    )


def _dot(dot: Dot, x: float, y: float, marked: bool) -> str:
    words = f"bias {dot.bias:.2f}: photos {dot.image:.3f}, prompt {dot.text:.3f}"
    kind = "dot dot-marked" if marked else "dot"
    return (
        f'<g class="{kind}" data-pick="{dot.pick}" tabindex="0" role="button" aria-label="{escape(words)}">'
        f'<circle class="reach" cx="{x:.1f}" cy="{y:.1f}" r="14"/><circle cx="{x:.1f}" cy="{y:.1f}" r="{8 if marked else 6}"/>'
        f'<text x="{x:.1f}" y="{y - 12:.1f}" text-anchor="middle">{dot.bias:.2f}</text><title>{escape(words)}</title></g>'
    )


def _scale(values: Sequence[float], start: float, end: float):  # noqa: ANN202 - a function of one number
    low, high = min(values), max(values)
    room = (high - low) * 0.12 or 0.01

    def place(value: float) -> float:
        return start + (value - low + room) / (high - low + 2 * room) * (end - start)

    return place
