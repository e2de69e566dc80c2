"""The loss as an SVG: a faint line of single steps, and over it the trend."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from perfusion_core.studio.teaching.progress import smoothed

if TYPE_CHECKING:
    from perfusion_core.studio.teaching.progress import TeachProgress

WIDTH, HEIGHT = 600, 120


def loss_trend(now: TeachProgress) -> str:
    """An SVG; nothing before two steps.

    A single step's loss says little: it depends on the random noise and timestep of its batch.
    """
    if len(now.losses) < 2:
        return ""
    steps = sorted(now.losses)
    values = [now.losses[step] for step in steps]
    low, high = min(values), max(values)
    last = max(now.total, steps[-1])

    def points(pairs: Sequence[tuple[int, float]]) -> str:
        scale = (HEIGHT - 12) / ((high - low) or 1)
        return " ".join(
            f"{step / last * WIDTH:.1f},{HEIGHT - 6 - (value - low) * scale:.1f}" for step, value in pairs
        )

    trend = smoothed(now.losses)
    return (
        f'<figure class="trend"><svg viewBox="0 0 {WIDTH} {HEIGHT}" preserveAspectRatio="none" role="img" '
        f'aria-label="Loss, from {values[0]:.3f} to {trend[-1][1]:.3f}">'
        f'<polyline class="raw" points="{points(list(zip(steps, values, strict=True)))}"/>'
        f'<polyline class="smooth" points="{points(trend)}"/></svg>'
        '<figcaption class="quiet">Loss: a trend, not a verdict. The previews below show what was learned.'
        "</figcaption></figure>"
    )
