"""A front as an SVG scatter plot: image similarity against text similarity, a point for each gate bias."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from perfusion_core.ui.html import escape

WIDTH, HEIGHT, EDGE = 520, 360, 52
Place = Callable[[float], float]


@dataclass(frozen=True)
class Dot:
    """One point: its image's number, gate bias and scores."""

    pick: int
    bias: float
    image: float
    text: float


@dataclass(frozen=True)
class Mark:
    """A point to compare with, which is no setting: what it is, and its scores."""

    words: str
    image: float
    text: float


def scatter(
    dots: Sequence[Dot], marked: int | None, faint: Sequence[Dot] = (), marks: Sequence[Mark] = ()
) -> str:
    """An SVG with the dots joined in the order of their bias; `marked` is the recommended one's number.

    `faint` are the single seeds whose means the dots are. Empty without dots.
    """
    if not dots:
        return ""
    everything = [*dots, *faint, *marks]
    across = _scale([one.text for one in everything], EDGE, WIDTH - 24)
    up = _scale([one.image for one in everything], HEIGHT - EDGE, 24)
    line = " ".join(
        f"{across(dot.text):.1f},{up(dot.image):.1f}" for dot in sorted(dots, key=lambda dot: dot.bias)
    )
    named = _named(dots, marked, across, up)
    return (
        f'<svg class="front" viewBox="0 0 {WIDTH} {HEIGHT}" role="group" '
        f'aria-label="Front of {len(dots)} points">'
        f'<path class="axes" d="M{EDGE} 12V{HEIGHT - EDGE}H{WIDTH - 12}"/>'
        f"{_ticks(everything, across, up)}"
        f'<text class="axis" x="{WIDTH - 14}" y="{HEIGHT - 10}" text-anchor="end">like the prompt →</text>'
        '<text class="axis" transform="translate(16 14) rotate(-90)" text-anchor="end">like the photos →'
        f'</text><polyline points="{line}"/>'
        + "".join(_mark(mark, across(mark.text), up(mark.image)) for mark in marks)
        + "".join(_dot(dot, across, up, "dot dot-faint", 4) for dot in faint)
        + "".join(
            _dot(dot, across, up, "dot dot-marked" if dot.pick == marked else "dot", 7, dot.pick in named)
            for dot in dots
        )
        + "</svg>"
    )


def _named(dots: Sequence[Dot], marked: int | None, across: Place, up: Place) -> set[int]:
    """The points whose bias is written beside them: the recommended one and the ends, where there is room."""
    wanted = [dot for dot in dots if dot.pick == marked] + [dots[0], dots[-1]]
    chosen: list[Dot] = []
    for dot in wanted:
        x, y = across(dot.text), up(dot.image)
        if all(abs(x - across(o.text)) > 32 or abs(y - up(o.image)) > 14 for o in chosen):
            chosen.append(dot)
    return {dot.pick for dot in chosen}


def _dot(dot: Dot, across: Place, up: Place, kind: str, radius: int, named: bool = False) -> str:
    x, y = across(dot.text), up(dot.image)
    words = f"bias {dot.bias:.2f}: photos {dot.image:.3f}, prompt {dot.text:.3f}"
    label = f'<text x="{x:.1f}" y="{y - 13:.1f}" text-anchor="middle">{dot.bias:.2f}</text>' if named else ""
    # A mean can be reached with the keyboard; a single seed is its image's button as well.
    reached = (
        f'tabindex="0" role="button" aria-label="{escape(words)}"' if radius > 4 else 'aria-hidden="true"'
    )
    return (
        f'<g class="{kind}" data-pick="{dot.pick}" {reached}>'
        f'<circle class="reach" cx="{x:.1f}" cy="{y:.1f}" r="{radius + 7}"/>'
        f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{radius}"/>'
        f"{label}<title>{escape(words)}</title></g>"
    )


def _mark(mark: Mark, x: float, y: float) -> str:
    words = f"{mark.words}: photos {mark.image:.3f}, prompt {mark.text:.3f}"
    left = x > WIDTH / 2  # the name goes to the side with room
    place = f'x="{x - 11:.1f}" text-anchor="end"' if left else f'x="{x + 11:.1f}"'
    return (
        f'<g class="mark" role="img" aria-label="{escape(words)}">'
        f'<path d="M{x:.1f} {y - 6:.1f}l6 6l-6 6l-6 -6z"/>'
        f'<text {place} y="{y + 4:.1f}">{escape(mark.words)}</text><title>{escape(words)}</title></g>'
    )


def _ticks(everything: Sequence[Dot | Mark], across: Place, up: Place) -> str:
    """The lowest and the highest score on each axis, as numbers."""
    texts, images = [one.text for one in everything], [one.image for one in everything]
    return "".join(
        f'<text class="tick" x="{across(value):.1f}" y="{HEIGHT - EDGE + 17}" text-anchor="middle">'
        f"{value:.2f}</text>"
        for value in sorted({min(texts), max(texts)})
    ) + "".join(
        f'<text class="tick" x="{EDGE - 8}" y="{up(value) + 4:.1f}" text-anchor="end">{value:.2f}</text>'
        for value in sorted({min(images), max(images)})
    )


def _scale(values: Sequence[float], start: float, end: float) -> Place:
    low, high = min(values), max(values)
    room = (high - low) * 0.12 or 0.01

    def place(value: float) -> float:
        return start + (value - low + room) / (high - low + 2 * room) * (end - start)

    return place
