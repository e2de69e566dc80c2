"""Train the UNet on encoded scenes, so that values mean something everywhere.

Run: `python -m tools.pocket2.train_unet --threads 1` (goes on from its checkpoint, again and again), then
the same with `--cooldown 4000`, which starts from the level checkpoint, leaves it as it is, and writes
NAME-cooled.

In a part of the draws a thing is drawn from its code: the caption names it by some word, and the values read
a noun state whose first 192 numbers are the thing's own code. In a third of those the keys read it too.
"""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from transformers import CLIPTextModel

from tools.pocket import checkpoint
from tools.pocket.denoiser import signal_shares
from tools.pocket.paths import work_dir
from tools.pocket.trainee import Trainee, diffusion_loss
from tools.pocket.training import Log, fast_dtype, precision, stage_parser, step_rng
from tools.pocket2 import codes, shards
from tools.pocket2.denoiser import WIDTHS, SplitAttention, build_unet
from tools.pocket2.render import Renderer
from tools.pocket2.scene import EFFECTS, Caption, Scene, caption, stand_in
from tools.pocket2.text import Encoder, load_tokenizer

STAGE = 6
CODE = codes.WIDTH


class Feed:
    """Batches of latents and word states from the shards on disk; new shards join as they appear."""

    def __init__(
        self,
        work: Path,
        device: torch.device,
        drop: float,
        coded: float,
        bare_ends: float,
        noise: float,
        newest: int,
    ) -> None:
        self.work, self.device, self.newest = work, device, newest
        self.drop, self.coded, self.bare_ends, self.noise = drop, coded, bare_ends, noise
        self.shards: dict[int, shards.Shard] = {}
        self.text = CLIPTextModel.from_pretrained(work / "text-frozen").to(device).eval()
        self.encode = Encoder(load_tokenizer(work))
        self.world = Renderer(work).world
        self.empty_states = self._states(self.encode([Caption((), ())])[0])[0]
        self.refresh()

    def refresh(self) -> None:
        """Take in shards finished since the last look; of more than `newest` the oldest go."""
        self.shards |= shards.load(self.work, frozenset(self.shards), self.newest)
        for number in sorted(self.shards)[: -self.newest]:
            del self.shards[number]

    @torch.no_grad()
    def _states(self, ids: Tensor) -> Tensor:
        with precision(self.device):
            return self.text(input_ids=ids.to(self.device)).last_hidden_state.to(fast_dtype(self.device))

    def _told(self, scene: Scene, rng: np.random.Generator) -> tuple[Caption, bool]:
        """A caption, and whether the things are drawn from their codes."""
        unnamed = any(thing.variation for thing in scene.things)
        unnamed |= scene.style in EFFECTS and scene.things[0].sprite[0] != "photo"
        if not unnamed and rng.random() >= self.coded:
            return caption(scene, rng), False
        names = tuple(stand_in(rng, thing.kind, self.world) for thing in scene.things)
        plain = tuple(replace(thing, colour=None) for thing in scene.things)
        style = "photo" if scene.style in ("cartoon", "sticker") and rng.random() < 0.5 else scene.style
        return caption(replace(scene, things=plain, style=style), rng, names), True

    @torch.no_grad()
    def batch(self, rng: np.random.Generator, n: int) -> tuple[Tensor, Tensor, Tensor]:
        """Latents (n, 8, 16, 16), states for keys then values (n, 64, 256) bf16, weights (n, 1, 16, 16)."""
        numbers = list(self.shards)
        picks = [(numbers[i], int(rng.integers(shards.SHARD))) for i in rng.integers(len(numbers), size=n)]
        clean = torch.stack([self.shards[s].latents[k] for s, k in picks]).to(self.device).float()
        weights = torch.stack([self.shards[s].weights[k] for s, k in picks]).to(self.device).float()
        told = [self._told(self.shards[s].scenes[k], rng) for s, k in picks]
        ids, nouns = self.encode([text for text, _ in told])
        for_keys = self._states(ids)
        ends = ids == self.encode.end
        for_values = for_keys.clone()
        for row, ((_, coded), (s, k)) in enumerate(zip(told, picks, strict=True)):
            if rng.random() < self.drop:
                for_keys[row] = for_values[row] = self.empty_states
                continue
            if coded or rng.random() < self.bare_ends:
                for_keys[row, ends[row]] = for_values[row, ends[row]] = self.empty_states[ends[row]]
            if coded:
                keys_too = rng.random() < 1 / 3
                for slot, position in enumerate(nouns[row].tolist()):
                    if position >= 0:
                        noise = torch.from_numpy(rng.standard_normal(CODE, dtype=np.float32)) * self.noise
                        code = (self.shards[s].codes[k, slot].float() + noise).to(for_values)
                        for_values[row, position, :CODE] = code
                        if keys_too:
                            for_keys[row, position, :CODE] = code
        return clean, torch.cat([for_keys, for_values], 1), weights


def main() -> None:
    """Train for `--minutes` (or to `--steps`) at a level rate, or cool down over `--cooldown` steps."""
    parser = stage_parser(__doc__)
    parser.add_argument("--name", default="unet2")
    parser.add_argument("--start", help="without an own checkpoint, begin from this one's average")
    parser.add_argument("--minutes", type=float, default=1e9)
    parser.add_argument("--steps", type=int, default=10**9)
    parser.add_argument("--batch", type=int, default=48)
    parser.add_argument("--rate", type=float, default=1.5e-3)
    parser.add_argument("--warmup", type=int, default=150)
    parser.add_argument("--cooldown", type=int, default=0)
    parser.add_argument("--decay", type=float, default=0.998)
    parser.add_argument("--drop", type=float, default=0.10)
    parser.add_argument("--coded", type=float, default=0.35, help="share of plain scenes drawn from codes")
    parser.add_argument("--noise", type=float, default=0.10, help="deviation of the noise on codes")
    parser.add_argument("--bare-ends", type=float, default=0.50)
    parser.add_argument("--newest", type=int, default=24, help="shards kept in memory, 23 MB each")
    parser.add_argument("--threads", type=int, default=0)
    options = parser.parse_args()
    if options.threads:
        torch.set_num_threads(options.threads)
    work, device = work_dir(options.work), torch.device(options.device)
    level = work / "checkpoints" / f"{options.name}.pt"
    cooled = work / "checkpoints" / f"{options.name}-cooled.pt"
    log = Log(work, options.name)
    torch.manual_seed(options.seed)
    feed = Feed(work, device, options.drop, options.coded, options.bare_ends, options.noise, options.newest)
    trainee = Trainee(device, options.rate, True, options.decay, WIDTHS, build_unet)
    trainee.network.set_attn_processor(SplitAttention())
    saved = checkpoint.load(cooled) if options.cooldown else None
    left = saved["left"] if saved else 0
    if left == 0:  # no cooldown was cut off: begin one, or go on at the level rate
        saved, left = checkpoint.load(level), options.cooldown
    if saved:
        trainee.restore(saved)
        log(f"goes on from step {trainee.step}")
    elif options.start:
        begun = checkpoint.load(work / "checkpoints" / f"{options.start}.pt")
        if begun is None:
            raise SystemExit(
                f"There is no checkpoint {options.start} to start from in {work / 'checkpoints'}."
            )
        trainee.begin_from(begun["average"])
    shares, target = signal_shares(device), cooled if options.cooldown else level
    until = time.monotonic() + options.minutes * 60
    save_due, tell_due = checkpoint.Every(150), checkpoint.Every(60)
    seen, since, errors = 0, time.monotonic(), []

    def keep() -> None:
        checkpoint.save(target, {**trainee.state(), "left": left})

    while (left > 0) if options.cooldown else (time.monotonic() < until and trainee.step < options.steps):
        rng = step_rng(options.seed, STAGE, trainee.step)
        clean, states, weights = feed.batch(rng, options.batch)
        loss = diffusion_loss(trainee.network, clean, states, weights, shares, rng)
        rate = options.rate * min(1.0, (trainee.step + 1) / options.warmup)
        if options.cooldown:
            rate *= left / options.cooldown
            left -= 1
        trainee.learn(loss, rate)
        errors.append(float(loss.detach()))
        seen += options.batch
        if save_due.due():
            keep()
            feed.refresh()
        if tell_due.due():
            speed = seen / (time.monotonic() - since)
            log(
                f"step {trainee.step} v-mse {np.mean(errors[-200:]):.4f} {speed:.1f} scenes/s, "
                f"shards to {max(feed.shards)}"
            )
            seen, since = 0, time.monotonic()
    keep()
    log(f"stopped at step {trainee.step}, v-mse {np.mean(errors[-200:] or [0]):.4f}")


if __name__ == "__main__":
    main()
