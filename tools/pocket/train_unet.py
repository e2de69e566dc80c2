"""Train the UNet on encoded scenes: warm-up, then a level rate for as long as wanted; cool down separately.

Run: `python -m tools.pocket.train_unet --minutes 60` (goes on from its checkpoint, again and again), then
`python -m tools.pocket.train_unet --cooldown 800`, which starts from the level checkpoint, leaves it as it
is, and writes `unet-cooled`. Any level checkpoint can so be trained further later.
"""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from transformers import CLIPTextModel

from tools.pocket import checkpoint
from tools.pocket.denoiser import signal_shares
from tools.pocket.latents import Shard, load_shards
from tools.pocket.paths import work_dir
from tools.pocket.trainee import Trainee, diffusion_loss
from tools.pocket.training import Log, precision, stage_parser, step_rng
from tools.pocket.words import ArticleDropper, load_tokenizer, token_ids

STAGE = 6


class Feed:
    """Batches of latents and word states from the shards on disk; new shards join as they appear."""

    def __init__(
        self, work: Path, device: torch.device, drop: float, bare_ends: float, bare_nouns: float
    ) -> None:
        self.work, self.device = work, device
        self.drop, self.bare_ends, self.bare_nouns = drop, bare_ends, bare_nouns
        self.shards: list[Shard] = []
        self.known: frozenset[int] = frozenset()
        self.text = CLIPTextModel.from_pretrained(work / "clip-frozen" / "text_encoder").to(device).eval()
        tokenizer = load_tokenizer(work)
        self.end = tokenizer.eos_token_id
        self.without_articles = ArticleDropper(tokenizer)
        self.empty = token_ids(tokenizer, [""])[0]
        self.empty_states = self._states(self.empty[None])[0]
        self.refresh()

    def refresh(self) -> None:
        """Take in shards finished since the last look."""
        found = load_shards(self.work, self.known)
        self.known |= frozenset(found)
        self.shards += [found[index] for index in sorted(found)]

    @torch.no_grad()
    def _states(self, ids: Tensor) -> Tensor:
        with precision(self.device):
            return self.text(input_ids=ids.to(self.device)).last_hidden_state.bfloat16()

    @torch.no_grad()
    def batch(self, rng: np.random.Generator, n: int) -> tuple[Tensor, Tensor, Tensor]:
        """Latents (n, 8, 16, 16) in fp32, word states (n, 32, 192) in bf16, covered share (n, 1, 16, 16).

        A share of captions is empty, another (`bare_nouns`) lacks its things' articles. In a third share
        (`bare_ends`) the states after the caption's last word are those of the empty caption. They tell the
        whole caption once more, and a UNet left to itself reads its things there; a concept that is taught
        speaks at its own word only.
        """
        picks = rng.integers(len(self.shards), size=n)
        places = [int(rng.integers(len(self.shards[i].latents))) for i in picks]
        clean = torch.stack([self.shards[i].latents[k] for i, k in zip(picks, places, strict=True)])
        ids = torch.stack([self.shards[i].ids[k] for i, k in zip(picks, places, strict=True)]).long()
        ids[torch.from_numpy(rng.random(n) < self.drop)] = self.empty
        bare = torch.from_numpy(rng.random(n) < self.bare_nouns)
        ids[bare] = self.without_articles(ids[bare])
        after = (ids == self.end) & torch.from_numpy(rng.random(n) < self.bare_ends)[:, None]
        states = torch.where(after[..., None].to(self.device), self.empty_states, self._states(ids))
        covered = torch.stack([self.shards[i].covered[k] for i, k in zip(picks, places, strict=True)])
        return clean.to(self.device).float(), states, covered.to(self.device).float()


def main() -> None:
    """Train for `--minutes` (or to `--steps`) at a level rate, or cool down over `--cooldown` steps."""
    parser = stage_parser(__doc__)
    parser.add_argument("--name", default="unet")
    parser.add_argument("--minutes", type=float, default=60.0)
    parser.add_argument("--steps", type=int, default=10**9)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--rate", type=float, default=1e-3)
    parser.add_argument("--warmup", type=int, default=150)
    parser.add_argument("--cooldown", type=int, default=0)
    parser.add_argument("--decay", type=float, default=0.998)
    parser.add_argument("--drop", type=float, default=0.10)
    parser.add_argument("--bare-ends", type=float, default=0.60)
    parser.add_argument("--bare-nouns", type=float, default=0.30)
    parser.add_argument("--things", type=float, default=2.0, help="how much more a thing's error weighs")
    parser.add_argument("--optimiser", choices=("adamw", "muon"), default="muon")
    parser.add_argument("--start", help="without an own checkpoint, begin from this one's average")
    parser.add_argument("--threads", type=int, default=0)
    options = parser.parse_args()
    if options.threads:
        torch.set_num_threads(options.threads)
    work, device = work_dir(options.work), torch.device(options.device)
    level = work / "checkpoints" / f"{options.name}.pt"
    cooled = work / "checkpoints" / f"{options.name}-cooled.pt"
    log = Log(work, options.name)
    torch.manual_seed(options.seed)
    feed = Feed(work, device, options.drop, options.bare_ends, options.bare_nouns)
    trainee = Trainee(device, options.rate, options.optimiser == "muon", options.decay)
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
        clean, states, covered = feed.batch(rng, options.batch)
        weights = 1 + options.things * covered
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
                f"{len(feed.shards)} shards"
            )
            seen, since = 0, time.monotonic()
    keep()
    log(
        f"stopped at step {trainee.step}, v-mse {np.mean(errors[-200:] or [0]):.4f}, "
        f"{len(feed.shards)} shards"
    )


if __name__ == "__main__":
    main()
