"""Which side a subject shows: photos that face the other way than the rest are found by their outlines.

One set of values cannot draw a thing facing both ways: learned from both sides, it comes out as its own
mirror image laid over itself.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from numpy.typing import NDArray

GRID = 32  # cells a side in which outlines are compared
SURE = 0.06  # how much better a mirrored outline must agree (intersection over union) to say so


def facing_away(masks: Sequence[NDArray[Any]]) -> list[int]:
    """The places of masks (H, W) that agree better with the others when mirrored, if they are the fewer ones.

    Empty when outlines say nothing: subjects that look alike from both sides, or masks that cover everything.
    """
    import numpy as np

    outlines = [_outline(mask) for mask in masks]
    known = [place for place, outline in enumerate(outlines) if outline is not None]
    if len(known) < 2:
        return []
    stack = np.stack([outline for outline in outlines if outline is not None])
    turned = np.zeros(len(stack), dtype=bool)
    for _ in range(3):  # the common outline sharpens as photos are turned towards it, one after the other
        for place in range(len(stack)):
            turned[place] = _gain(stack, turned, place) > SURE
    if turned.sum() * 2 > len(turned) or (turned.sum() * 2 == len(turned) and turned[0]):
        turned = ~turned
    return [known[place] for place in np.flatnonzero(turned).tolist() if _gain(stack, turned, place) > SURE]


def _gain(stack: NDArray[Any], turned: NDArray[Any], place: int) -> float:
    """How much better an outline agrees with the mean of the others mirrored than as it is."""
    import numpy as np

    aligned = np.where(turned[:, None, None], stack[:, :, ::-1], stack)
    others = (aligned.sum(0) - aligned[place]) / (len(aligned) - 1)
    return _agreement(stack[place, :, ::-1], others) - _agreement(stack[place], others)


def _outline(mask: NDArray[Any]) -> NDArray[Any] | None:
    """The subject in its bounding box, (GRID, GRID) in 0..1; None when it is nowhere or everywhere."""
    import numpy as np
    from PIL import Image

    strong = np.asarray(mask, dtype=np.float32)
    strong = (strong >= 0.5 * strong.max(initial=0.0)) & (strong > 0)
    if not strong.any() or strong.mean() > 0.9:
        return None
    rows, columns = np.flatnonzero(strong.any(1)), np.flatnonzero(strong.any(0))
    inside = strong[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    image = Image.fromarray(inside.astype(np.float32))
    return np.asarray(image.resize((GRID, GRID), Image.Resampling.BOX))


def _agreement(one: NDArray[Any], other: NDArray[Any]) -> float:
    """Soft intersection over union of two outlines (GRID, GRID)."""
    import numpy as np

    return float(np.minimum(one, other).sum() / max(np.maximum(one, other).sum(), 1e-6))
