"""Train the judge on rendered scenes; goes on from its checkpoint.

Run: `python -m tools.pocket.train_classifier --steps 1200`. Once the autoencoder is frozen, run again with
more steps: part of each batch is then drawn from a pool of scenes that went through it.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from tools.pocket.judge import NOTHING, UNKNOWN, Answer, Judge, Labels, folder, labels, save_judge
from tools.pocket.optimiser import Pair
from tools.pocket.paths import work_dir
from tools.pocket.render import Batch, Renderer, Spread
from tools.pocket.scene import Odds, Scene
from tools.pocket.training import Course, course_parser, learning_rate, precision, step_rng
from tools.pocket.verdicts import QUESTIONS, decide, look
from tools.pocket.wear import spoiled, worn

STAGE = 5
# More of what is hard than the base's own training has, and placed more freely.
ODDS = Odds(
    pair=0.42,
    accessory_animal=0.5,
    accessory_other=0.45,
    accessory_pair=0.45,
    colour=0.6,
    style=0.25,
    plain=0.2,
)
SPREAD = Spread(shift=6.0, size=0.11, tilt=0.08, stretch=0.06)


SLOT_WEIGHTS = {"sprite": 0.3, "hat": 1.5}


class JudgePair(Pair):
    """Muon for the convolutions but the first; AdamW for it, the heads and wide layers (costly to turn)."""

    ENDS = ("trunk.0.", "slot", "scene")


@dataclass(frozen=True)
class Pool:
    """Scenes that went through the autoencoder: pictures (n, 3, 128, 128) and what they show."""

    images: Tensor
    specs: list[Scene]


@torch.no_grad()
def through_autoencoder(work: Path, images: Tensor) -> Tensor | None:
    """Pictures in [0, 1] encoded and decoded by the frozen autoencoder, or None while there is none."""
    source = work / "vae-frozen"
    if not (source / "config.json").is_file():
        return None
    from diffusers import AutoencoderKL

    vae = AutoencoderKL.from_pretrained(source).to(images.device).eval()
    made = []
    for chunk in images.split(16):
        with precision(images.device):
            made.append(vae.decode(vae.encode(chunk * 2 - 1).latent_dist.mode()).sample.float() / 2 + 0.5)
    return torch.cat(made).clamp(0, 1)


def make_pool(work: Path, renderer: Renderer, seed: int, n: int) -> Pool | None:
    """Draw and pass n scenes through the autoencoder, if it is frozen."""
    batch = renderer.scenes(step_rng(seed, STAGE, 10**6), n)
    images = through_autoencoder(work, batch.images)
    return None if images is None else Pool(images, batch.specs)


def loss_of(answer: Answer, right: Labels) -> Tensor:
    """Sum of cross entropies: hats count more, the sprite head, which only shapes the embedding, less."""
    total = torch.zeros((), device=answer.embedding.device)
    for name, logits in answer.slots.items():
        target = right.slots[name].to(logits.device).flatten()
        if bool((target != UNKNOWN).any()):
            weight = SLOT_WEIGHTS.get(name, 1.0)
            total = total + weight * F.cross_entropy(logits.flatten(0, 1), target, label_smoothing=0.02)
    for name, logits in answer.scene.items():
        target = right.scene[name].to(logits.device)
        if bool((target != UNKNOWN).any()):
            total = total + 0.5 * F.cross_entropy(logits, target, label_smoothing=0.02)
    return total


def lesson(
    batch: Batch, pool: Pool | None, rng: np.random.Generator, spoil: int = 2
) -> tuple[Tensor, Labels]:
    """A batch to learn from: worn scenes, some from the pool, and `spoil` unrecognisable ones."""
    images, specs = worn(batch.images, rng), list(batch.specs)
    if pool is not None:
        picked = rng.integers(len(pool.specs), size=len(specs) // 3)
        for row, source in enumerate(picked):
            images[row], specs[row] = pool.images[source], pool.specs[source]
    right = labels(specs)
    images[-spoil:] = spoiled(images[-spoil:], rng)
    for head in right.slots.values():
        head[-spoil:] = UNKNOWN
    for head in right.scene.values():
        head[-spoil:] = UNKNOWN
    right.slots["kind"][-spoil:] = NOTHING
    return images, right


def accuracy(judge: Judge, renderer: Renderer, n: int, work: Path | None = None) -> dict[str, float]:
    """The judge's figures on n unseen scenes of the base's usual kind, with `work` also autoencoded ones."""
    judge.eval()
    batch = renderer.scenes(step_rng(999, STAGE, 0), n)
    verdicts = decide(look(judge, batch.images), batch.specs)
    figures = {name: verdicts.share(name) for name in QUESTIONS}
    decoded = through_autoencoder(work, batch.images) if work else None
    if decoded is not None:
        verdicts = decide(look(judge, decoded), batch.specs)
        figures |= {f"{name}, autoencoded": verdicts.share(name) for name in QUESTIONS}
    judge.train()
    return {name: round(value, 4) for name, value in figures.items()}


def main() -> None:
    """Train until `--steps`, then write $WORK/judge."""
    parser = course_parser(__doc__, "judge", steps=1200, batch=32)
    parser.add_argument("--pool", type=int, default=640, help="scenes passed through the frozen autoencoder")
    parser.add_argument("--test", type=int, default=500)
    options = parser.parse_args()
    work, device = work_dir(options.work), torch.device(options.device)
    torch.manual_seed(options.seed)
    judge = Judge().to(device).train()
    course = Course(work, options.name, "judge", judge, JudgePair(judge, options.rate, muon=True))
    course.begin(options.start)
    free, usual = Renderer(work, device, odds=ODDS, spread=SPREAD), Renderer(work, device)
    pool = make_pool(work, free, options.seed, options.pool) if options.pool else None
    course.log(f"{len(pool.specs) if pool else 0} autoencoded scenes in the pool")
    for step in course.steps(options.steps, options.batch, lambda: str(accuracy(judge, usual, 100))):
        rng = step_rng(options.seed, STAGE, step)
        images, right = lesson(free.scenes(rng, options.batch), pool, rng)
        with precision(device):
            answer = judge(images)
        loss = loss_of(answer, right)
        course.learn(loss, learning_rate(step, options.rate, 40, options.steps, options.cooldown))
    figures = accuracy(judge, usual, options.test, work)
    save_judge(judge, folder(work), figures)
    course.log(f"on {options.test} scenes: {figures}")


if __name__ == "__main__":
    main()
