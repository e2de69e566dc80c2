"""What every training stage shares: device, mixed precision, learning-rate shape, log lines."""

from __future__ import annotations

import argparse
import contextlib
import time
from pathlib import Path

import numpy as np
import torch

from tools.pocket.paths import work_dir


def stage_parser(description: str | None) -> argparse.ArgumentParser:
    """An argument parser with the options every stage has."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--work", help="work folder (default: $POCKET_WORK or the user cache)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    return parser


def precision(device: torch.device) -> contextlib.AbstractContextManager[None]:
    """bf16 autocast on either kind of device."""
    return torch.autocast(device.type, torch.bfloat16)


def learning_rate(step: int, peak: float, warmup: int, total: int, cooldown: float) -> float:
    """Linear warm-up, level, then linear fall to 2 % of `peak` over the last `cooldown` share of `total`."""
    rise = min(1.0, (step + 1) / max(1, warmup))
    left = (total - step) / max(1.0, cooldown * total)
    return peak * rise * min(1.0, max(0.02, left))


def step_rng(seed: int, stage: int, step: int) -> np.random.Generator:
    """The random stream of one step: a resumed run draws exactly what an uninterrupted one would."""
    return np.random.default_rng([seed, stage, step])


class Log:
    """Prints and appends one line a report to $WORK/logs/<stage>.log."""

    def __init__(self, work: Path | str | None, stage: str) -> None:
        self.path = work_dir(work) / "logs" / f"{stage}.log"
        self.path.parent.mkdir(parents=True, exist_ok=True)

    def __call__(self, text: str) -> None:
        line = f"{time.strftime('%H:%M:%S')} {text}"
        print(line, flush=True)
        with self.path.open("a", encoding="utf-8") as file:
            file.write(line + "\n")
