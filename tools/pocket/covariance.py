"""Write the pocket model's text statistics beside it.

    python -m tools.pocket.covariance [--base assets/pocket]

They are taken from captions of its own world, as its text encoder was taught them: over the general corpus,
the words after a concept look as much like it as the concept itself (similarity 1.03; 0.7 with these).
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

from perfusion_core.model.base import load_base
from perfusion_core.model.listing import pocket_folder
from perfusion_core.model.statistics import SHIPPED_NAME, compute, save_statistics
from tools.pocket.scene import caption, draw_scene

COUNT = 10_000
SEED = 2026


def pocket_captions(count: int = COUNT, seed: int = SEED) -> list[str]:
    """Distinct captions of random scenes, worded as in training."""
    rng = np.random.default_rng(seed)
    lines: dict[str, None] = {}
    while len(lines) < count:
        lines[caption(draw_scene(rng), rng)] = None
    return list(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--base", type=Path, default=pocket_folder())
    parser.add_argument("--out", type=Path, help="another folder to write to")
    options = parser.parse_args()
    base = load_base(options.base, device="cpu")
    stats = compute(base, pocket_captions(), text=base.text_fingerprint)
    path = (options.out or options.base) / SHIPPED_NAME
    save_statistics(stats, base.text_fingerprint, path)
    print(f"{path}: {len(stats.inverse)} wide, condition number {stats.condition:,.0f}")


if __name__ == "__main__":
    main()
