"""Which photos face the other way, by the outlines of what they show."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from perfusion_core.studio.teaching.facing import facing_away


def boot(rng: np.random.Generator, *, turned: bool = False, size: int = 64) -> np.ndarray[Any, Any]:
    """A soft mask (size, size) of a boot somewhere, of a random size."""
    height = int(rng.integers(size // 3, size // 2))
    top, left = (int(rng.integers(2, size - height - 2)) for _ in range(2))
    mask = np.zeros((size, size), dtype=np.float32)
    mask[top : top + height, left : left + height // 3] = 0.9
    mask[top + 2 * height // 3 : top + height, left : left + height] = 0.9
    mask += 0.05 * rng.random((size, size), dtype=np.float32)
    return mask[:, ::-1] if turned else mask


@pytest.mark.parametrize("sides", ["LLLLL", "LRLLL", "RLLLL", "LRLRL", "RRRRL", "RL", "LR", "LRRRL"])
@pytest.mark.parametrize("seed", range(3))
def test_the_fewer_ones_face_away(sides: str, seed: int) -> None:
    rng = np.random.default_rng(seed)
    away = facing_away([boot(rng, turned=side == "R") for side in sides])
    fewer = min("LR", key=lambda side: (sides.count(side), sides[0] == side))
    assert away == [place for place, side in enumerate(sides) if side == fewer]


def test_outlines_that_look_alike_from_both_sides_say_nothing() -> None:
    rng = np.random.default_rng(0)
    y, x = np.mgrid[:64, :64]
    balls = [((x - 30 - k) ** 2 + (y - 30) ** 2 < (10 + 3 * k) ** 2).astype(np.float32) for k in range(4)]
    assert facing_away(balls) == []
    one_boot = boot(rng)
    assert facing_away([one_boot]) == []
    assert facing_away([]) == []
    whole, nothing = np.ones((64, 64)), np.zeros((64, 64))
    assert facing_away([whole, nothing, one_boot]) == []
    assert facing_away([whole, boot(rng), boot(rng), boot(rng, turned=True)]) == [3]
