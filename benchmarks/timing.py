"""Two things done in turn, compared by the clock and by the process's own CPU seconds.

Other work on the machine stretches the first and leaves the second alone; on a graphics card only the first
means anything.
"""

from __future__ import annotations

import resource
import time
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

import torch


@dataclass(frozen=True)
class Seconds:
    """A moment, or the time between two."""

    clock: float
    cpu: float

    @classmethod
    def now(cls, device: torch.device) -> Seconds:
        """This moment, when what was sent to `device` is done."""
        if device.type == "cuda":
            torch.cuda.synchronize()
        return cls(time.perf_counter(), time.process_time())

    def since(self, begun: Seconds) -> Seconds:
        return Seconds(self.clock - begun.clock, self.cpu - begun.cpu)


def comparison(plain: str, ours: str, pairs: Sequence[tuple[Seconds, Seconds]]) -> str:
    """A table of medians, and the median ratio of ours to plain within a pair."""
    lines = [f"{f'median of {len(pairs)}':26}{'by the clock':>14}{'CPU':>12}"]
    for name, runs in zip((plain, ours), zip(*pairs, strict=True), strict=True):
        clock, cpu = median(run.clock for run in runs), median(run.cpu for run in runs)
        lines.append(f"{name:26}{clock:12.3f} s{cpu:10.3f} s")
    clock = median(b.clock / a.clock for a, b in pairs)
    cpu = median(b.cpu / a.cpu for a, b in pairs)
    lines.append(f"{'ratio':26}{clock:12.3f}  {cpu:10.3f}")
    return "\n".join(lines)


def peak_mib(device: torch.device) -> float:
    """The most memory in use so far, in MiB: of the card, or of this process on a CPU."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated() / 2**20
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
