"""What the machine computes with and how much memory it has left; read without loading torch."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from perfusion_core.studio.app import Studio


@dataclass(frozen=True)
class MachineFacts:
    """The device that computes and its memory in bytes; zeros where the system does not say."""

    device: str
    memory_used: int
    memory_total: int


def machine_facts(studio: Studio) -> MachineFacts:
    """The facts as they are now."""
    base = studio.base
    if base is not None and str(base.device).startswith("cuda"):
        found = _card()
        if found is not None:
            return found
    return MachineFacts(f"CPU, {os.cpu_count() or 1} cores", *_main_memory())


def _card() -> MachineFacts | None:
    torch: Any = sys.modules.get("torch")
    if torch is None or not torch.cuda.is_available():
        return None
    free, total = torch.cuda.mem_get_info()
    return MachineFacts(str(torch.cuda.get_device_name()), int(total - free), int(total))


def _main_memory() -> tuple[int, int]:
    """Used and total main memory in bytes. Used is what cannot be handed out without swapping."""
    import psutil

    try:
        memory = psutil.virtual_memory()
    except (OSError, RuntimeError):  # a container may hide it
        return 0, 0
    return int(memory.total - memory.available), int(memory.total)
