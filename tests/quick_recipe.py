"""Settings of a teaching that takes about a second on the tiny base."""

from __future__ import annotations

QUICK: dict[str, str | int | float | bool] = {
    "steps": 4,
    "checkpoint_every": 2,
    "batch_size": 2,
    "validation_steps": 1,
    "validation_prompts": "a photo of {}\na {} on the beach",
}
