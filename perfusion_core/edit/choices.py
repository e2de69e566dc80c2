"""The choices a caller of the edit makes, by name, and their defaults. Free of torch, unlike the rest.

This is the one place that says what is used where nothing was asked for: the app, the command line and
`applied` all read it here.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, get_args

Lock = Literal["local", "global"]
"""Where the keys come from: "local" edits each concept's keys behind its gate, "global" takes the whole
prompt's keys from the prompt with the superclass word in the concept's place."""

Removal = Literal["paper", "gated"]
"""How i* is taken out of W e: "paper" everywhere, "gated" only as far as the gate is open."""

LOCKS: tuple[Lock, ...] = get_args(Lock)

# Whatever a concept was trained with: measured on the bundled base with a trained dog, prompts without it
# drift by 0.0004 of a pixel's range (0.0025 where they say "dog"), with the paper's removal by 0.004 (0.021).
DEFAULT_REMOVAL: Removal = "gated"

# The gate bias of a concept that carries no recommendation of its own.
DEFAULT_BIAS: dict[Lock, float] = {"local": 0.68, "global": 0.5}

# What a gate bias may be: beyond these every gate is open, or shut.
WIDEST_BIAS = (-1.0, 3.0)


def gate_bias(
    lock: Lock, recommended: Mapping[Lock, float], *, written: float | None = None, given: float | None = None
) -> float:
    """The gate bias of one concept in one image: the number in its prompt, else the one given, else the one
    recommended for this lock by the concept itself, else the default.
    """
    for bias in (written, given):
        if bias is not None:
            return float(bias)
    return float(recommended.get(lock, DEFAULT_BIAS[lock]))
