"""What every training stage shares: device, mixed precision, learning-rate shape, log lines, the loop."""

from __future__ import annotations

import argparse
import contextlib
import time
from collections import deque
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from tools.pocket import checkpoint, parts
from tools.pocket.optimiser import Pair, fast_dtype
from tools.pocket.paths import work_dir


def stage_parser(description: str | None) -> argparse.ArgumentParser:
    """An argument parser with the options every stage has."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--work", help="work folder (default: $POCKET_WORK or the user cache)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--threads", type=int, default=0, help="of the CPU (default: as torch finds best)")
    return parser


def open_stage(options: argparse.Namespace) -> tuple[Path, torch.device]:
    """Set threads and seed; return the work folder and the device."""
    if options.threads:
        torch.set_num_threads(options.threads)
    torch.manual_seed(options.seed)
    return work_dir(options.work), torch.device(options.device)


def course_parser(description: str | None, name: str, steps: int, batch: int) -> argparse.ArgumentParser:
    """The options of a stage that runs a `Course`: its checkpoint's name, its length, its learning rate."""
    parser = stage_parser(description)
    parser.add_argument("--name", default=name, help="checkpoint name in the work folder")
    parser.add_argument("--start", help="begin from this checkpoint's weights (name), with a fresh optimiser")
    parser.add_argument("--steps", type=int, default=steps)
    parser.add_argument("--batch", type=int, default=batch)
    parser.add_argument("--rate", type=float, default=1e-3)
    parser.add_argument("--cooldown", type=float, default=0.4, help="share of the run with falling rate")
    parser.add_argument("--minutes", type=float, help="end by the clock instead of by --steps")
    parser.add_argument("--out", type=Path, help="also write the weights there, every 20 s (see parts)")
    return parser


def precision(device: torch.device) -> contextlib.AbstractContextManager[None]:
    """Autocast to bf16 where the device computes in it."""
    enabled = fast_dtype(device) is torch.bfloat16
    return torch.autocast(device.type, torch.bfloat16, enabled=enabled)


def learning_rate(step: int, peak: float, warmup: int, total: int, cooldown: float) -> float:
    """Linear warm-up, level, then linear fall to 2 % of `peak` over the last `cooldown` share of `total`."""
    return _rate(step, peak, warmup, step / max(1, total), cooldown)


def _rate(step: int, peak: float, warmup: int, share: float, cooldown: float) -> float:
    rise = min(1.0, (step + 1) / max(1, warmup))
    return peak * rise * min(1.0, max(0.02, (1 - share) / max(1e-6, cooldown)))


class Pace:
    """How far a run is, by its steps or by the clock, and the learning rate there."""

    def __init__(
        self, steps: int, minutes: float | None, peak: float, cooldown: float, warmup: int = 40
    ) -> None:
        """With `minutes` the run ends by the clock, whatever `steps` says."""
        self.steps, self.seconds = steps, None if minutes is None else minutes * 60
        self.peak, self.cooldown, self.warmup = peak, cooldown, warmup
        self.since = time.monotonic()

    @classmethod
    def of(cls, options: argparse.Namespace, warmup: int = 40) -> Pace:
        """The pace that a stage's options ask for."""
        return cls(options.steps, options.minutes, options.rate, options.cooldown, warmup)

    def share(self, step: int) -> float:
        """The share of the run that is done before `step`."""
        if self.seconds is not None:
            return (time.monotonic() - self.since) / max(1e-6, self.seconds)
        return step / max(1, self.steps)

    def rate(self, step: int) -> float:
        """The learning rate at `step`."""
        return _rate(step, self.peak, self.warmup, self.share(step), self.cooldown)

    def over(self, step: int) -> bool:
        """Whether the run ends before `step`."""
        return self.share(step) >= 1


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

    def __init__(
        self, work: Path, name: str, part: str, network: nn.Module, optimiser: Pair, out: Path | None = None
    ) -> None:
        """`name` is the checkpoint's and the log's; `part` is what the network is called within it.

        `out`: a folder that gets the weights too, at every checkpoint.
        """
        self.path, self.part, self.log = work / "checkpoints" / f"{name}.pt", part, Log(work, name)
        self.network, self.optimiser, self.step, self.out = network, optimiser, 0, out
        self.losses: deque[Tensor] = deque(maxlen=100)

    def begin(self, start: str | None = None) -> None:
        """Go on from the own checkpoint; without one, take the weights of the checkpoint named `start`.

        Raises:
            SystemExit: there is no checkpoint of that name.
        """
        if saved := checkpoint.load(self.path):
            self.network.load_state_dict(saved[self.part])
            if "optimiser" in saved:  # weights that came back from elsewhere have none
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
        self.losses.append(loss.detach())

    def keep(self) -> None:
        """Save the checkpoint."""
        weights = self.network.state_dict()
        state = {self.part: weights, "optimiser": self.optimiser.state_dict()}
        checkpoint.save(self.path, {**state, "step": self.step})
        if self.out is not None:
            parts.write(self.out, self.path.stem, weights, self.step)

    def steps(self, pace: Pace, batch: int, report: Callable[[], str]) -> Iterator[int]:
        """Numbers of the steps still to learn: the body draws a batch and calls `learn`.

        Saves every two minutes (20 s with `out`), tells loss and speed every minute, and `report()` at the
        end and, unless the run ends by the clock, every five minutes.
        """
        save_due, tell_due, report_due = (
            checkpoint.Every(seconds) for seconds in (120 if self.out is None else 20, 60, 300)
        )
        told, since = self.step, time.monotonic()
        while not pace.over(self.step):
            yield self.step
            if save_due.due():
                self.keep()
            if tell_due.due():
                speed = (self.step - told) * batch / (time.monotonic() - since)
                loss = float(torch.stack(list(self.losses)).mean())
                self.log(f"step {self.step} loss {loss:.4f} {speed:.1f} images/s")
                told, since = self.step, time.monotonic()
            if pace.seconds is None and report_due.due():
                self.log(f"step {self.step}: {report()}")
        self.keep()
        self.log(f"done at {self.step}: {report()}")
