"""How long a run will take and how much disk it needs, from a few measured steps."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from perfusion_core.fanout.content_key import recipe_of
from perfusion_core.fanout.loaded_base import BaseFacts
from perfusion_core.fanout.tasks import Json
from perfusion_core.fanout.teach_all import Item

REPORT_SHARE = 4 / 3  # the report holds the small images once more, in base64


@dataclass(frozen=True)
class Estimate:
    """seconds by the clock with all workers, of work in all, bytes on the disk afterwards and at most."""

    seconds: float
    work: float
    bytes: int
    peak_bytes: int


def estimate(
    items: Sequence[Item], facts: BaseFacts, measured: Json, workers: int, together: int = 1
) -> Estimate:
    """From what `measured` found for the first concept; photos of other sizes change little.

    Workers on one CPU slow each other down, which this does not know, nor what sharing a batch saves.
    """
    spent: list[float] = []
    for item in items:
        recipe = recipe_of(item.line, facts)
        checkpoints = 1 + -(-recipe.steps // recipe.checkpoint_every)
        seconds = recipe.steps * measured["step"] + checkpoints * measured["checkpoint"]
        spent.append(seconds + measured["fixed"])
    busy = max(1, min(workers, len(items)))
    work = sum(spent)
    # The last concepts leave some workers without work: at most one concept's time.
    clock = max(work / busy, max(spent, default=0.0))
    size = round(len(items) * measured["bytes"] * (1 + REPORT_SHARE))
    under_way = min(busy * together, len(items))
    return Estimate(clock, work, size, size + under_way * measured["kept"])
