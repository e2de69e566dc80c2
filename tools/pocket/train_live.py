"""Train the UNet on scenes that are rendered and encoded while it trains, for a given time: for a GPU.

Run: `python -m tools.pocket.train_live --minutes 9 --out FOLDER`. Nothing is kept on disk but the checkpoint:
blocks of encoded scenes lie in the device's memory, and are replaced one by one, in the training loop or by
`--renderers` other processes. The rate is level, then falls so that it ends with the time. The average is
written to --out every 20 s, in half precision (see parts); started again, it goes on from its checkpoint.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from multiprocessing.synchronize import Event
from pathlib import Path

import torch
from torch import Tensor
from torch import multiprocessing as mp

from tools.pocket import checkpoint, codes, parts, shards
from tools.pocket.autoencoder import frozen
from tools.pocket.denoiser import DEFAULT_SHAPE, SHAPES, build_unet, signal_shares, unet_of
from tools.pocket.feed import Feed, Pool
from tools.pocket.render import Renderer
from tools.pocket.train_unet import STAGE, mean, mix_of, mix_options
from tools.pocket.trainee import Trainee, diffusion_loss
from tools.pocket.training import Log, Pace, open_stage, stage_parser, step_rng


class Source:
    """Renders and encodes blocks of scenes; lone things at plain places first, then all there is."""

    def __init__(self, work: Path, device: torch.device, seed: int, early_until: float, batch: int) -> None:
        """`early_until`: on the clock of time.monotonic(). `batch`: scenes rendered at once."""
        self.renderer, self.vae = Renderer(work, device), frozen(work, device)
        self.coder = codes.load(work)[0].to(device)
        self.seed, self.early_until, self.batch = seed, early_until, batch

    def fill(self, pool: Pool, number: int, wait: Callable[[], None] = lambda: None) -> None:
        """Put block `number` into the pool."""
        self.renderer.odds = shards.EARLY if time.monotonic() < self.early_until else shards.LATE
        lot = min(self.batch, pool.size)
        pool.put(
            number, shards.make(self.renderer, self.vae, self.coder, self.seed, number, lot, pool.size), wait
        )


def render_on(
    work: Path,
    device: str,
    pool: Pool,
    steps: Tensor,
    stop: Event,
    numbers: tuple[int, int],
    rest: tuple[int, float, int],
) -> None:
    """A process of its own: fill blocks `numbers` (first, stride) until told to stop.

    steps: (1,), shared: how many steps the trainer has taken.
    """
    torch.set_num_threads(1)
    source = Source(work, torch.device(device), *rest)

    def wait() -> None:
        """Until batches that were drawn before are learned from."""
        seen = int(steps[0])
        while seen >= 0 and int(steps[0]) < seen + 3 and not stop.is_set():
            time.sleep(0.01)

    number, stride = numbers
    while not stop.is_set():
        source.fill(pool, number, wait)
        number += stride


def main() -> None:
    """Train until the time is over."""
    parser = stage_parser(__doc__)
    parser.add_argument("--name", default="unet")
    parser.add_argument("--shape", choices=tuple(SHAPES), default=DEFAULT_SHAPE)
    parser.add_argument("--minutes", type=float, default=9.0, help="of training; loading comes before it")
    parser.add_argument("--cooldown", type=float, default=0.6, help="share of the time with falling rate")
    parser.add_argument("--early", type=float, default=0.0, help="share of the time with simple scenes alone")
    parser.add_argument("--out", type=Path, help="folder for the average (default: $WORK/parts)")
    parser.add_argument("--batch", type=int, default=1024)
    parser.add_argument("--rate", type=float, default=2e-3)
    parser.add_argument("--decay", type=float, default=0.998)
    parser.add_argument("--blocks", type=int, default=64, help="of encoded scenes in memory")
    parser.add_argument("--block", type=int, default=shards.SHARD, help="scenes a block, 6 kB each")
    parser.add_argument("--render", type=int, default=512, help="scenes rendered at once")
    parser.add_argument("--renderers", type=int, default=0, help="processes that render; 0: the loop itself")
    parser.add_argument("--fresh", type=float, default=0.5, help="scenes the loop renders for each one drawn")
    parser.add_argument(
        "--compile", action="store_true", help="torch.compile the UNet: a minute or more first"
    )
    parser.add_argument("--save", type=float, default=20, help="seconds between writes of the average")
    mix_options(parser)
    options = parser.parse_args()
    work, device = open_stage(options)
    out: Path = options.out or work / "parts"
    torch.backends.cudnn.benchmark = True
    log = Log(work, options.name)
    path, first = work / "checkpoints" / f"{options.name}.pt", 0
    saved = checkpoint.load(path)
    unet = unet_of(saved) if saved else build_unet(options.shape)
    trainee = Trainee(unet, device, options.rate, True, options.decay)
    if saved:
        trainee.restore(saved)
        first = saved.get("blocks", trainee.step)  # weights from elsewhere: blocks not drawn before
        log(f"goes on from step {trainee.step}")
    pool, shares = Pool(options.blocks, options.block, device), signal_shares(device)
    network = torch.compile(trainee.network) if options.compile else trainee.network
    pace = Pace(0, options.minutes, options.rate, options.cooldown, warmup=trainee.step + 100)
    rest = (options.seed, pace.since + options.early * options.minutes * 60, options.render)
    context, steps, number = mp.get_context("spawn"), torch.full((1,), -1).share_memory_(), first
    stop, workers = context.Event(), []
    for worker in range(options.renderers):
        given = (work, str(device), pool.shared(), steps, stop, (first + worker, options.renderers), rest)
        workers.append(context.Process(target=render_on, args=given, daemon=True))
        workers[-1].start()
    source = Source(work, device, *rest) if not workers else None
    feed = Feed(work, device, mix_of(options), source.renderer.world if source else None)
    if source:
        source.fill(pool, number)
    while not pool.held:
        if not any(worker.is_alive() for worker in workers):
            raise SystemExit("Every renderer has stopped: see its error above, or use --renderers 0.")
        time.sleep(0.05)
    save_due, keep_due, tell_due = (checkpoint.Every(s) for s in (options.save, 60, 10))
    seen, since, owed, losses = 0, time.monotonic(), 0.0, deque[Tensor](maxlen=200)

    def keep() -> None:
        checkpoint.save(path, {**trainee.state(), "left": 0, "blocks": max(pool.held) + 1})

    pace.since = time.monotonic()
    while not pace.over(trainee.step):
        rng = step_rng(options.seed, STAGE, trainee.step)
        clean, states, weights = feed.batch(pool.draw(rng, options.batch), rng)
        loss = diffusion_loss(network, clean, states, weights, shares, rng)
        trainee.learn(loss, pace.rate(trainee.step))
        losses.append(loss.detach())
        steps[0] = trainee.step
        seen += options.batch
        owed += options.fresh * options.batch
        if source and owed >= options.block:
            number += 1
            source.fill(pool, number)
            owed -= options.block
        if tell_due.due():
            loss_now, spent = mean(losses), time.monotonic() - since  # waits for the device
            log(
                f"step {trainee.step} v-mse {loss_now:.4f} {seen / spent:.0f} draws/s, block {max(pool.held)}"
            )
            seen, since = 0, time.monotonic()
        if save_due.due():
            parts.write(out, options.name, trainee.averaged(), trainee.step, trainee.config)
        if keep_due.due():
            keep()
    parts.write(out, options.name, trainee.averaged(), trainee.step, trainee.config)
    keep()
    stop.set()
    for worker in workers:
        worker.join(10)
        if worker.is_alive():
            worker.terminate()
    log(f"stopped at step {trainee.step}, v-mse {mean(losses):.4f}, blocks {first} to {max(pool.held)}")


if __name__ == "__main__":
    main()
