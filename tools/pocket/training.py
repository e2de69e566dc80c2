"""What every training stage shares: device, mixed precision, learning-rate shape, log lines, the loop."""

from __future__ import annotations

import argparse
import contextlib
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from tools.pocket import checkpoint
from tools.pocket.optimiser import Pair
from tools.pocket.paths import work_dir


def stage_parser(description: str | None) -> argparse.ArgumentParser:
    """An argument parser with the options every stage has."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--work", help="work folder (default: $POCKET_WORK or the user cache)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    return parser


def course_parser(description: str | None, name: str, steps: int, batch: int) -> argparse.ArgumentParser:
    """The options of a stage that runs a `Course`: its checkpoint's name, its length, its learning rate."""
    parser = stage_parser(description)
    parser.add_argument("--name", default=name, help="checkpoint name in the work folder")
    parser.add_argument("--start", help="begin from this checkpoint's weights (name), with a fresh optimiser")
    parser.add_argument("--steps", type=int, default=steps)
    parser.add_argument("--batch", type=int, default=batch)
    parser.add_argument("--rate", type=float, default=1e-3)
    parser.add_argument("--cooldown", type=float, default=0.4, help="share of the steps with falling rate")
    return parser


def fast_dtype(device: torch.device) -> torch.dtype:
    """bf16 where the device computes in it, else fp32: without AVX-512 a CPU is 18 times slower in bf16."""
    native = device.type == "cuda" or torch.ops.mkldnn._is_mkldnn_bf16_supported()
    return torch.bfloat16 if native else torch.float32


def precision(device: torch.device) -> contextlib.AbstractContextManager[None]:
    """Autocast to bf16 where the device computes in it."""
    enabled = fast_dtype(device) is torch.bfloat16
    return torch.autocast(device.type, torch.bfloat16, enabled=enabled)


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


class Course:
    """A network that learns step by step, goes on from its checkpoint, and says now and then how it fares."""

    def __init__(self, work: Path, name: str, part: str, network: nn.Module, optimiser: Pair) -> None:
        """`name` is the checkpoint's and the log's; `part` is what the network is called within it."""
        self.path, self.part, self.log = work / "checkpoints" / f"{name}.pt", part, Log(work, name)
        self.network, self.optimiser, self.step = network, optimiser, 0
        self.losses: list[float] = []

    def begin(self, start: str | None = None) -> None:
        """Go on from the own checkpoint; without one, take the weights of the checkpoint named `start`.

        Raises:
            SystemExit: there is no checkpoint of that name.
        """
        if saved := checkpoint.load(self.path):
            self.network.load_state_dict(saved[self.part])
            self.optimiser.load_state_dict(saved["optimiser"])
            self.step = saved["step"]
            self.log(f"goes on from step {self.step}")
        elif start:
            begun = checkpoint.load(self.path.with_name(f"{start}.pt"))
            if begun is None:
                where = self.path.parent
                raise SystemExit(
                    f"There is no checkpoint {start} in {where}: train it first, or drop --start."
                )
            self.network.load_state_dict(begun[self.part])

    def learn(self, loss: Tensor, rate: float) -> None:
        """One step down `loss`, its gradient clipped to norm 1."""
        self.network.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.network.parameters(), 1.0)
        self.optimiser.step(rate)
        self.step += 1
        self.losses.append(float(loss.detach()))

    def keep(self) -> None:
        """Save the checkpoint."""
        state = {self.part: self.network.state_dict(), "optimiser": self.optimiser.state_dict()}
        checkpoint.save(self.path, {**state, "step": self.step})

    def steps(self, total: int, batch: int, report: Callable[[], str]) -> Iterator[int]:
        """Numbers of the steps still to learn, up to `total`: the body draws a batch and calls `learn`.

        Saves every two minutes, tells loss and speed every minute, and `report()` every five and at the end.
        """
        save_due, tell_due, report_due = (checkpoint.Every(seconds) for seconds in (120, 60, 300))
        told, since = self.step, time.monotonic()
        while self.step < total:
            yield self.step
            if save_due.due():
                self.keep()
            if tell_due.due():
                speed = (self.step - told) * batch / (time.monotonic() - since)
                self.log(f"step {self.step} loss {np.mean(self.losses[-100:]):.4f} {speed:.1f} pictures/s")
                told, since = self.step, time.monotonic()
            if report_due.due():
                self.log(f"step {self.step}: {report()}")
        self.keep()
        self.log(f"done at {self.step}: {report()}")
