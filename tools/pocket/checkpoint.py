"""Checkpoints that survive being cut off at any moment: written beside, then moved into place."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

import torch


def save(path: Path, state: dict[str, Any]) -> None:
    """Write `state` to `path` atomically: a reader sees the old file or the new one, never half of one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(".partial")
    torch.save(state, partial)
    os.replace(partial, path)


def load(path: Path) -> dict[str, Any] | None:
    """The state last saved at `path`, on the CPU, or None if there is none."""
    return torch.load(path, map_location="cpu", weights_only=False) if path.is_file() else None


class Every:
    """Says when `seconds` have passed since it last said so."""

    def __init__(self, seconds: float) -> None:
        self.seconds, self.last = seconds, time.monotonic()

    def due(self) -> bool:
        """True once every `seconds`."""
        if time.monotonic() - self.last < self.seconds:
            return False
        self.last = time.monotonic()
        return True
