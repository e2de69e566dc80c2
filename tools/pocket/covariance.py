"""Write the base's text statistics beside it, from captions of its own world.

Run: `python -m tools.pocket.covariance --base $POCKET_WORK/snapshot`.
"""

from __future__ import annotations

from pathlib import Path

from perfusion_core.model.base import load_base
from perfusion_core.model.statistics import SHIPPED_NAME, compute, save_statistics
from tools.pocket.paths import work_dir
from tools.pocket.render import Renderer
from tools.pocket.scene import Odds, World, caption
from tools.pocket.table import draw_scene
from tools.pocket.training import stage_parser, step_rng

COUNT = 10_000
STAGE = 10
ODDS = Odds(varied=0.0, pair=0.35, colour=0.3)


def captions(world: World, count: int = COUNT, seed: int = 2026) -> list[str]:
    """Distinct captions of random scenes, worded as in training."""
    rng = step_rng(seed, STAGE, 0)
    lines: dict[str, None] = {}
    while len(lines) < count:
        lines[str(caption(draw_scene(rng, ODDS, world), rng))] = None
    return list(lines)


def main() -> None:
    """Compute and save."""
    parser = stage_parser(__doc__)
    parser.add_argument("--base", type=Path, required=True)
    options = parser.parse_args()
    base = load_base(str(options.base), device="cpu")
    stats = compute(base, captions(Renderer(work_dir(options.work)).world), text=base.text_fingerprint)
    path = options.base / SHIPPED_NAME
    save_statistics(stats, base.text_fingerprint, path)
    print(f"{path}: {len(stats.inverse)} wide, condition number {stats.condition:,.0f}")


if __name__ == "__main__":
    main()
