"""How a pipeline says how far it is."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any


def told_after_each_step(pipe: Any, after_step: Callable[[int], None]) -> dict[str, Any]:
    """The argument by which a pipeline reports each step; older pipelines have another."""

    def at_end(_pipe: Any, step: int, _time: Any, _tensors: dict[str, Any]) -> dict[str, Any]:
        after_step(step + 1)
        return {}

    def callback(step: int, _time: Any, _latents: Any) -> None:
        after_step(step + 1)

    known = inspect.signature(type(pipe).__call__).parameters
    if "callback_on_step_end" in known:
        return {"callback_on_step_end": at_end}
    return {"callback": callback, "callback_steps": 1}
