"""Train the UNet on encoded scenes, so that values mean something everywhere.

Run: `python -m tools.pocket.train_unet --threads 1` (goes on from its checkpoint, again and again), then
the same with `--cooldown 4000`, which starts from the level checkpoint, leaves it as it is, and writes
NAME-cooled.

In a part of the draws a thing is drawn from its code: the caption names it by some word, and the values read
a noun state whose first 192 numbers are the thing's own code. In a third of those the keys read it too.
"""

from __future__ import annotations

import argparse
import time
from collections import deque
from dataclasses import fields

import torch
from torch import Tensor

from tools.pocket import checkpoint, shards
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
    mix_options(parser)
    options = parser.parse_args()
    work, device = open_stage(options)
    level = work / "checkpoints" / f"{options.name}.pt"
    cooled = work / "checkpoints" / f"{options.name}-cooled.pt"
    log, feed = Log(work, options.name), Feed(work, device, mix_of(options))
    pool = Pool(options.newest, shards.SHARD, torch.device("cpu"))
    shards.take_in(work, pool)
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
    shares, target = signal_shares(device), cooled if options.cooldown else level
    until = time.monotonic() + options.minutes * 60
    save_due, tell_due = checkpoint.Every(150), checkpoint.Every(60)
    seen, since, losses = 0, time.monotonic(), deque[Tensor](maxlen=200)

    def keep() -> None:
        checkpoint.save(target, {**trainee.state(), "left": left})

    while (left > 0) if options.cooldown else (time.monotonic() < until and trainee.step < options.steps):
        rng = step_rng(options.seed, STAGE, trainee.step)
        clean, states, weights = feed.batch(pool.draw(rng, options.batch), rng)
        loss = diffusion_loss(trainee.network, clean, states, weights, shares, rng)
        rate = options.rate * min(1.0, (trainee.step + 1) / options.warmup)
        if options.cooldown:
            rate *= left / options.cooldown
            left -= 1
        trainee.learn(loss, rate)
        losses.append(loss.detach())
        seen += options.batch
        if save_due.due():
            keep()
            shards.take_in(work, pool)
        if tell_due.due():
            speed = seen / (time.monotonic() - since)
            log(f"step {trainee.step} v-mse {mean(losses):.4f} {speed:.1f} scenes/s, shard {max(pool.held)}")
            seen, since = 0, time.monotonic()
    keep()
    log(f"stopped at step {trainee.step}, v-mse {mean(losses):.4f}")


if __name__ == "__main__":
    main()
