"""How many workers this machine takes: one for each device, or on a CPU one for each core that has memory."""

from __future__ import annotations

import os
from dataclasses import dataclass

from perfusion_core.errors import PerfusionError

CPU_WORKER_GIB = 2.0  # beside the weights; the bundled base needs 0.6 in all
MOST_WORKERS = 512


@dataclass(frozen=True)
class LocalPlan:
    """workers to start, graphics cards to spread them over (0: none), and CPU threads for each."""

    workers: int
    devices: int
    threads: int | None


def local_plan(
    wanted: int | None,
    device: str,
    *,
    share: float = 1.0,
    weights_gib: float = 0.0,
    threads: int | None = None,
) -> LocalPlan:
    """`wanted` workers, or (None) as many as fit, on a device as `--device` names it.

    weights_gib: the size of the base's files. On a CPU the cores are divided among the workers, unless
    `threads` says how many each gets.
    """
    import psutil
    import torch

    if device in ("auto", "cuda") and torch.cuda.is_available():
        cards = torch.cuda.device_count()
        return LocalPlan(wanted or max(1, int(cards / share)), cards, threads)
    if device == "mps" or (device == "auto" and torch.backends.mps.is_available()):
        return LocalPlan(wanted or 1, 0, threads)
    cores = usable_cores()
    fits = int(psutil.virtual_memory().available / 2**30 / (CPU_WORKER_GIB + 2 * weights_gib))
    workers = wanted or max(1, min(cores // (threads or 1), fits))
    return LocalPlan(workers, 0, threads or max(1, cores // workers))


def usable_cores() -> int:
    """The cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def workers_of(text: str) -> int | None:
    """What `--workers` says: None for "auto". Raises `PerfusionError`."""
    if text == "auto":
        return None
    if not (text.isdecimal() and 1 <= int(text[:9]) <= MOST_WORKERS):
        raise PerfusionError(
            f"--workers takes auto or a number from 1 to {MOST_WORKERS}, and not {text[:40]!r}."
        )
    return int(text)
