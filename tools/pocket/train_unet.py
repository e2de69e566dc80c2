"""Train the UNet on encoded scenes, so that values mean something everywhere.

Run: `python -m tools.pocket.train_unet --threads 1` (goes on from its checkpoint, again and again), then
the same with `--cooldown 4000`, which starts from the level checkpoint, leaves it as it is, and writes
NAME-cooled.

In a part of the draws a thing is drawn from its code: the caption names it by some word, and the values read
a noun state whose first 192 numbers are the thing's own code. In a third of those the keys read it too.

`--beside 1` lets another process compute gradients on what another core has left.
"""

from __future__ import annotations

import argparse
import time
from collections import deque
from dataclasses import fields
from pathlib import Path

import torch
from torch import Tensor, nn

from tools.pocket import checkpoint, shards
from tools.pocket.beside import Beside
from tools.pocket.denoiser import DEFAULT_SHAPE, SHAPES, build_unet, signal_shares, unet_of
from tools.pocket.feed import Feed, Mix, Pool
from tools.pocket.trainee import Trainee, diffusion_loss
from tools.pocket.training import Log, open_stage, stage_parser, step_rng

STAGE = 6


def mix_options(parser: argparse.ArgumentParser) -> None:
    """An option for every share of `Mix`."""
    for field in fields(Mix):
        parser.add_argument(f"--{field.name.replace('_', '-')}", type=float, default=field.default)


def mix_of(options: argparse.Namespace) -> Mix:
    """The shares that the options ask for."""
    return Mix(**{field.name: getattr(options, field.name) for field in fields(Mix)})


def mean(losses: deque[Tensor]) -> float:
    """Mean of the last losses; waits for the device."""
    return float(torch.stack(list(losses)).mean()) if losses else float("nan")


class Lessons:
    """The loss of one batch after another, of scenes in shards; new shards are taken in as they appear."""

    def __init__(
        self, rank: int, work: Path, device: torch.device, options: argparse.Namespace, size: int
    ) -> None:
        """`rank`: each process has draws of its own. `size`: scenes a shard."""
        self.rank, self.work, self.options = rank, work, options
        self.feed = Feed(work, device, mix_of(options))
        self.pool = Pool(options.newest, size, torch.device("cpu"))
        self.shares, self.look_due = signal_shares(device), checkpoint.Every(150)
        shards.take_in(work, self.pool)

    def __call__(self, network: nn.Module, number: int) -> Tensor:
        """The loss of batch `number`."""
        if self.look_due.due():
            shards.take_in(self.work, self.pool)
        rng = step_rng(self.options.seed, STAGE + 1000 * self.rank, number)
        scenes = self.pool.draw(rng, self.options.batch)
        return diffusion_loss(network, *self.feed.batch(scenes, rng), self.shares, rng)


def main() -> None:
    """Train for `--minutes` (or to `--steps`) at a level rate, or cool down over `--cooldown` steps."""
    parser = stage_parser(__doc__)
    parser.add_argument("--name", default="unet")
    parser.add_argument("--shape", choices=tuple(SHAPES), default=DEFAULT_SHAPE)
    parser.add_argument("--start", help="without an own checkpoint, begin from this one's average")
    parser.add_argument("--minutes", type=float, default=1e9)
    parser.add_argument("--steps", type=int, default=10**9)
    parser.add_argument("--batch", type=int, default=48)
    parser.add_argument("--rate", type=float, default=1.5e-3)
    parser.add_argument("--warmup", type=int, default=150)
    parser.add_argument("--cooldown", type=int, default=0)
    parser.add_argument("--decay", type=float, default=0.998)
    parser.add_argument("--newest", type=int, default=24, help="shards kept in memory, 23 MB each")
    parser.add_argument(
        "--beside", type=int, default=0, help="processes that compute gradients beside, at nice 19"
    )
    mix_options(parser)
    options = parser.parse_args()
    work, device = open_stage(options)
    level = work / "checkpoints" / f"{options.name}.pt"
    cooled = work / "checkpoints" / f"{options.name}-cooled.pt"
    log, given = Log(work, options.name), (work, device, options, shards.SHARD)
    lesson = Lessons(0, *given)
    saved = checkpoint.load(cooled) if options.cooldown else None
    left = saved.get("left", 0) if saved else 0
    if left == 0:  # no cooldown was cut off: begin one, or go on at the level rate
        saved, left = checkpoint.load(level), options.cooldown
    start = checkpoint.need(work, options.start, "train_unet") if options.start and not saved else None
    unet = unet_of(saved or start) if saved or start else build_unet(options.shape)
    trainee = Trainee(unet, device, options.rate, True, options.decay)
    if saved:
        trainee.restore(saved)
        log(f"goes on from step {trainee.step}")
    elif start:
        trainee.begin_from(start["average"])
    target = cooled if options.cooldown else level
    until = time.monotonic() + options.minutes * 60
    save_due, tell_due = checkpoint.Every(150), checkpoint.Every(60)
    seen, since, losses = trainee.step, time.monotonic(), deque[Tensor](maxlen=200)

    def keep() -> None:
        checkpoint.save(target, {**trainee.state(), "left": left})

    with Beside(trainee, Lessons, given, options.beside) as beside:
        while (left > 0) if options.cooldown else (time.monotonic() < until and trainee.step < options.steps):
            loss = lesson(trainee.network, trainee.step)
            rate = options.rate * min(1.0, (trainee.step + 1) / options.warmup)
            if options.cooldown:
                rate *= left / options.cooldown
                left -= 1
            trainee.learn(loss, rate, beside.take())
            beside.publish()
            losses.append(loss.detach())
            if save_due.due():
                keep()
            if tell_due.due():
                batches, told, now = trainee.step - seen + beside.taken, trainee.step, time.monotonic()
                speed = batches * options.batch / (now - since)
                log(
                    f"step {told} v-mse {mean(losses):.4f} {speed:.1f} scenes/s, "
                    f"{beside.taken} batches from beside, shard {max(lesson.pool.held)}"
                )
                seen, since, beside.taken = told, now, 0
    keep()
    log(f"stopped at step {trainee.step}, v-mse {mean(losses):.4f}")


if __name__ == "__main__":
    main()
