"""Checkpoints that survive being cut off at any moment: written beside, then moved into place."""

from __future__ import annotations

import os
import pickle
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
    """The state last saved at `path`, on the CPU, or None if there is none.

    Only plain data is read, so that no file depends on where a class lies, and none can run code.

    Raises:
        ValueError: the file holds other things, as shards of earlier versions do.
    """
    if not path.is_file():
        return None
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as found:
        raise ValueError(
            f"{path} holds more than plain data: an earlier version wrote it. Move it away and make it anew."
        ) from found


def need(work: Path, name: str, stage: str) -> dict[str, Any]:
    """The checkpoint called `name` in a work folder.

    Raises:
        SystemExit: there is none; says that `stage` makes it.
    """
    path = work / "checkpoints" / f"{name}.pt"
    saved = load(path)
    if saved is None:
        raise SystemExit(f"There is no checkpoint {path}: run `python -m tools.pocket.{stage}` first.")
    return saved


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
