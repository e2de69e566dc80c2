"""Memory of the device that computes: how much is free, and what running out of it looks like."""

from __future__ import annotations

import gc
from typing import TYPE_CHECKING

import psutil
import torch
from accelerate.utils.memory import should_reduce_batch_size

if TYPE_CHECKING:
    from collections.abc import Iterable

RESERVE_GIB = 1.0  # kept free for the scorer, the segmenter and what fragmentation loses

# What accelerate's own list lacks: Windows' and Linux' words for main memory.
_MORE_WORDS = ("not enough memory", "cannot allocate memory")


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error is one of the several ways torch and Python say that memory ran out."""
    if isinstance(error, (MemoryError, torch.OutOfMemoryError)):
        return True
    if not isinstance(error, RuntimeError):
        return False
    return should_reduce_batch_size(error) or any(words in str(error).lower() for words in _MORE_WORDS)


def release_memory() -> None:
    """Give back what Python no longer refers to and torch only keeps for later."""
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
    elif torch.backends.mps.is_available():
        torch.mps.empty_cache()


def free_gib(device: torch.device) -> float:
    """What can still be allocated on a device, in GiB.

    Memory that torch has reserved but not handed out counts as free: the next allocation takes from it. On a
    CPU it is the main memory that the system can hand out without swapping.
    """
    if device.type == "cuda":
        free, _ = torch.cuda.mem_get_info(device)
        found = free + torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
    elif device.type == "mps":
        found = torch.mps.recommended_max_memory() - torch.mps.current_allocated_memory()
    else:
        found = psutil.virtual_memory().available
    return max(0, found) / 2**30


def weights_gib(modules: Iterable[torch.nn.Module]) -> float:
    """GiB of the modules' weights, wherever they are."""
    sizes = (weight.numel() * weight.element_size() for m in modules for weight in m.parameters())
    return sum(sizes) / 2**30


def card_gib(device: torch.device) -> float | None:
    """The memory of a graphics card in GiB, whoever uses it; None for devices that share the machine's."""
    return torch.cuda.mem_get_info(device)[1] / 2**30 if device.type == "cuda" else None
