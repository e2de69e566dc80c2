"""Train the autoencoder on windows of fresh scenes, things and fine detail weighing most.

Run: `python -m tools.pocket.train_vae --start vae-first --steps 2000`, where `vae-first` is the first
edition's autoencoder (`python -m tools.pocket.adopt` makes it from a shipped pipeline). Judged on held-out
things.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from diffusers import AutoencoderKL
from torch import Tensor

from tools.pocket.autoencoder import build, decibels, pixel_weights, reconstruction_loss
from tools.pocket.optimiser import Pair
from tools.pocket.pictures import save_grid
from tools.pocket.render import SIZE, Batch, Renderer
from tools.pocket.scene import Odds, Scene, Thing
from tools.pocket.things import ARTS, PLACES, Kind, held_out
from tools.pocket.training import Course, Pace, course_parser, open_stage, precision, step_rng

STAGE = 1
ODDS = Odds(pair=0.35, effect=0.12, varied=0.35)


def windows(
    batch: Batch, rng: np.random.Generator, size: int, things: float, each: int
) -> tuple[Tensor, Tensor]:
    """`each` windows of every image (rn, 3, size, size) in [-1, 1], and their weights (rn, 1, size, size).

    Their middles lie on things more often than beside them.
    """
    true = batch.images * 2 - 1
    weights = pixel_weights(true, batch.covered, things)
    cut, cut_weights = [], []
    for row in range(len(true)):
        odds = batch.covered[row, 0, ::8, ::8].flatten().double().cpu().numpy() + 0.03
        for cell in rng.choice(len(odds), size=each, p=odds / odds.sum()):
            y, x = (
                int(np.clip(8 * place + 4 - size // 2, 0, SIZE - size)) for place in divmod(int(cell), 16)
            )
            cut.append(true[row, :, y : y + size, x : x + size])
            cut_weights.append(weights[row, :, y : y + size, x : x + size])
    return torch.stack(cut), torch.stack(cut_weights)


def held_out_scenes(work: Path, device: torch.device) -> Tensor:
    """One image (n, 3, 128, 128) of every held-out thing in every art style, at places by turns."""
    renderer = Renderer(work, device, refuse=False)
    places = [place for place in PLACES if place != "plain"]
    scenes = []
    for number, thing in enumerate(held_out().values()):
        for art in ARTS:
            if renderer.book.has(art, thing.code):
                kind = Kind(thing.code, thing.name, "")
                scenes.append(Scene((Thing(0, (art, kind.code)),), places[(number + len(art)) % len(places)]))
    return renderer.draw(step_rng(999, STAGE, 0), scenes).images


@torch.no_grad()
def judge(vae: AutoencoderKL, images: Tensor, look: Path) -> float:
    """PSNR in dB over `images`; writes pairs to the file `look`."""
    true, made = images * 2 - 1, []
    for chunk in true.split(16):
        with precision(true.device):
            made.append(vae.decode(vae.encode(chunk).latent_dist.mode()).sample.float())
    whole = torch.cat(made)
    save_grid(torch.stack([true[:48], whole[:48]], 1).flatten(0, 1) / 2 + 0.5, look, columns=12)
    return decibels(whole, true)


def main() -> None:
    """Train until `--steps`."""
    parser = course_parser(__doc__, "vae", steps=2400, batch=16)
    parser.add_argument("--window", type=int, default=64)
    parser.add_argument("--kl", type=float, default=5e-4)
    parser.add_argument("--things", type=float, default=1.5, help="how much more a thing's error weighs")
    options = parser.parse_args()
    work, device = open_stage(options)
    renderer, vae = Renderer(work, device, ODDS), build().to(device)
    vae = vae.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    unseen = held_out_scenes(work, device)
    course = Course(work, options.name, "vae", vae, Pair(vae, options.rate, muon=True), options.out)
    course.begin(options.start)
    look = work / "looks" / f"{options.name}.png"

    def report() -> str:
        return f"{judge(vae, unseen, look):.2f} dB on held-out things"

    course.log(report())
    pace = Pace.of(options, warmup=60)
    for step in course.steps(pace, options.batch, report):
        rng = step_rng(options.seed, STAGE, step)
        true, weights = windows(
            renderer.scenes(rng, options.batch // 4), rng, options.window, options.things, 4
        )
        torch.manual_seed(options.seed * 1_000_003 + step)
        with precision(device):
            hidden = vae.encode(true).latent_dist
            made = vae.decode(hidden.sample()).sample
        loss = reconstruction_loss(made.float(), true, weights=weights)
        loss = loss + options.kl * hidden.kl().mean() / hidden.mean[0].numel()
        course.learn(loss, pace.rate(step))


if __name__ == "__main__":
    main()
