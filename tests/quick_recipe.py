"""Settings of a teaching that takes about a second on the tiny base, and of one that learns all there is."""

from __future__ import annotations

from typing import Any

QUICK: dict[str, str | int | float | bool] = {
    "steps": 4,
    "checkpoint_every": 2,
    "batch_size": 2,
    "validation_steps": 1,
    "validation_prompts": "a photo of {}\na {} on the beach",
}

# The preset of small bases learns no word and no mirrored photo.
WORD_AND_VALUES: dict[str, Any] = {
    "value_rate": 0.03,
    "embedding_rate": 0.0005,
    "offset_rate": 0.0,
    "prior": 0.0,
    "cooldown": 0.0,
    "clarity": 0.1,
    "flip": True,
}
