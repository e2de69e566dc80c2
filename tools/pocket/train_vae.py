"""Train the autoencoder on random crops of fresh scenes; goes on from its checkpoint.

Run: `python -m tools.pocket.train_vae --steps 950 --rate 2e-3`. Sharpness in the pictures comes later, from
`train_decoder`.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from diffusers import AutoencoderKL
from torch import Tensor

from tools.pocket.autoencoder import build, decibels, reconstruction_loss
from tools.pocket.optimiser import Pair
from tools.pocket.paths import work_dir
from tools.pocket.pictures import save_grid
from tools.pocket.render import SIZE, Renderer
from tools.pocket.training import Course, course_parser, learning_rate, precision, step_rng

STAGE = 1


def crops(images: Tensor, rng: np.random.Generator, size: int) -> Tensor:
    """A random crop of each picture, more often of its middle, where the objects are.

    (n, 3, 128, 128) in [0, 1] -> (n, 3, size, size) in [-1, 1].
    """
    room = SIZE - size
    if room == 0:
        return images * 2 - 1
    spots = np.clip(np.round(rng.normal(room / 2, room / 2.6, (len(images), 2))), 0, room).astype(int)
    cut = [image[:, y : y + size, x : x + size] for image, (y, x) in zip(images, spots, strict=True)]
    return torch.stack(cut) * 2 - 1


@torch.no_grad()
def judge(vae: AutoencoderKL, renderer: Renderer, picture: Path, n: int = 48) -> float:
    """PSNR in dB on n scenes that no training step draws; writes some pairs to `picture`."""
    true = renderer.scenes(step_rng(999, STAGE, 0), n).images * 2 - 1
    with precision(true.device):
        made = vae.decode(vae.encode(true).latent_dist.mode()).sample.float()
    pairs = torch.stack([true[:16], made[:16]], 1).flatten(0, 1)
    save_grid(pairs / 2 + 0.5, picture, columns=8)
    return decibels(made, true)


def main() -> None:
    """Train until `--steps`."""
    parser = course_parser(__doc__, "vae", steps=6000, batch=16)
    parser.add_argument("--crop", type=int, default=64)
    parser.add_argument("--kl", type=float, default=5e-4)
    parser.add_argument("--edges", type=float, default=0.25, help="weight of sharp edges in the loss")
    options = parser.parse_args()
    work, device = work_dir(options.work), torch.device(options.device)
    torch.manual_seed(options.seed)
    renderer, vae = Renderer(work, device), build().to(device)
    course = Course(work, options.name, "vae", vae, Pair(vae, options.rate, muon=True))
    course.begin(options.start)
    look = work / "looks" / f"{options.name}.png"

    def report() -> str:
        return f"{judge(vae, renderer, look):.2f} dB on unseen scenes"

    for step in course.steps(options.steps, options.batch, report):
        rng = step_rng(options.seed, STAGE, step)
        images = renderer.scenes(rng, -(-options.batch // 2)).images.repeat(2, 1, 1, 1)[: options.batch]
        true = crops(images, rng, options.crop)
        torch.manual_seed(options.seed * 1_000_003 + step)
        with precision(device):
            hidden = vae.encode(true).latent_dist
            made = vae.decode(hidden.sample()).sample
        loss = reconstruction_loss(made.float(), true, options.edges)
        loss = loss + options.kl * hidden.kl().mean() / hidden.mean[0].numel()
        course.learn(loss, learning_rate(step, options.rate, 100, options.steps, options.cooldown))


if __name__ == "__main__":
    main()
