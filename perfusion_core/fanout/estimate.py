"""How long a run will take and how much disk it needs, from a few measured steps."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from perfusion_core.fanout.loaded_base import BaseFacts
from perfusion_core.fanout.tasks import Json
from perfusion_core.fanout.teach_all import Item
from perfusion_core.training.recipe import Recipe

REPORT_SHARE = 4 / 3  # the report holds the small images once more, in base64


@dataclass(frozen=True)
class Estimate:
    """seconds by the clock with all workers, of work in all, bytes on the disk afterwards and at most."""

    seconds: float
    work: float
    bytes: int
    peak_bytes: int


def estimate(items: Sequence[Item], facts: BaseFacts, measured: Json, workers: int) -> Estimate:
    """From what `measured` found for the first concept; photos of other sizes change little.

    Workers on one CPU slow each other down, which this does not know.
    """
    spent: list[float] = []
    for item in items:
        pace: Any = item.line.pace
        settings: dict[str, Any] = dict(item.line.settings)
        recipe = Recipe.preset(facts.description, None, pace=pace, **settings)
        checkpoints = 1 + -(-recipe.steps // recipe.checkpoint_every)
        seconds = recipe.steps * measured["step"] + checkpoints * measured["checkpoint"]
        spent.append(seconds + measured["fixed"])
    busy = max(1, min(workers, len(items)))
    work = sum(spent)
    # The last concepts leave some workers without work: at most one concept's time.
    clock = max(work / busy, max(spent, default=0.0))
    size = round(len(items) * measured["bytes"] * (1 + REPORT_SHARE))
    return Estimate(clock, work, size, size + busy * measured["kept"])
