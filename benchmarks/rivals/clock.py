"""How seconds are counted: other work on the machine should not stretch one method more than another."""

from __future__ import annotations

import time

import torch


def now() -> float:
    """This moment in seconds, for differences.

    On a CPU with one thread the process's own CPU seconds, which on an idle machine are those of the clock;
    with several threads, and on a graphics card, the clock's, when what was sent to the card is done.
    """
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    elif torch.get_num_threads() == 1:
        return time.process_time()
    return time.perf_counter()
