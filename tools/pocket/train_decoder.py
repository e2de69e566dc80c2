"""Sharpen the decoder for the latents that are already computed; goes on from its checkpoint.

Run: `python -m tools.pocket.train_decoder --start vae --unet unet-cooled --steps 900`. The encoder stays as
it is. Training the two together spends itself on backdrops; here the things in a picture weigh most, and the
latents are spoiled a little in the way a UNet's are, which the decoder learns to see through.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from diffusers import AutoencoderKL, UNet2DConditionModel
from torch import Tensor
from torch.nn import functional as F
from transformers import CLIPTextModel

from tools.pocket.autoencoder import build, detail, reconstruction_loss
from tools.pocket.denoiser import noised, signal_shares
from tools.pocket.export import averaged_unet
from tools.pocket.latents import encode, frozen
from tools.pocket.optimiser import Pair
from tools.pocket.paths import work_dir
from tools.pocket.render import Batch, Renderer
from tools.pocket.scene import Odds
from tools.pocket.train_vae import judge
from tools.pocket.training import Course, course_parser, learning_rate, precision, step_rng
from tools.pocket.words import load_tokenizer, token_ids

STAGE = 8
CELL = 8  # pixels a latent cell is wide
GRID = 16  # cells a picture is wide
ODDS = Odds(pair=0.5, accessory_animal=0.4, accessory_other=0.3, accessory_pair=0.3, style=0.25, several=0.5)


@dataclass(frozen=True)
class Window:
    """Parts of scenes: latents (n, 8, s, s), pictures (n, 3, 8s, 8s) in [-1, 1], weights (n, 1, 8s, 8s)."""

    latents: Tensor
    pictures: Tensor
    weights: Tensor


def weights_of(true: Tensor, covered: Tensor, things: float) -> Tensor:
    """How much each pixel counts: fine detail, and `things` more where a thing is or its outline.

    true: (n, 3, h, w) in [-1, 1]; covered: (n, 1, h, w) in [0, 1]. Returns (n, 1, h, w).
    """
    return detail(true) * (1 + things * F.max_pool2d(covered, 5, 1, 2))


def windows(latents: Tensor, batch: Batch, rng: np.random.Generator, size: int, things: float) -> Window:
    """A window of `size` cells from each scene, its middle more often on a thing than beside it."""
    pictures = batch.images * 2 - 1
    weights = weights_of(pictures, batch.covered, things)
    if size == GRID:
        return Window(latents, pictures, weights)
    odds = F.avg_pool2d(batch.covered, CELL).flatten(1).cpu().numpy().astype(float) + 0.02
    middles = [divmod(int(rng.choice(GRID**2, p=row / row.sum())), GRID) for row in odds]
    corners = [
        (min(max(y - size // 2, 0), GRID - size), min(max(x - size // 2, 0), GRID - size)) for y, x in middles
    ]
    # Near a window's rim the decoder lacks its surroundings: what it draws there is not counted.
    cut = [_cut(each, corners, size) for each in (latents, pictures, weights)]
    rim = F.pad(torch.ones(CELL * (size - 2), CELL * (size - 2), device=weights.device), (CELL,) * 4)
    return Window(cut[0], cut[1], cut[2] * rim)


def _cut(maps: Tensor, corners: list[tuple[int, int]], size: int) -> Tensor:
    scale = maps.shape[-1] // GRID
    side = size * scale
    return torch.stack(
        [
            m[:, y * scale : y * scale + side, x * scale : x * scale + side]
            for m, (y, x) in zip(maps, corners, strict=True)
        ]
    )


class Spoiler:
    """Latents as a UNet would leave them: its own guess from a lightly noised one, or simply some noise."""

    def __init__(self, work: Path, unet: str | None, device: torch.device, noise: float, latest: int) -> None:
        """`noise`: largest deviation added to latents of deviation 1. `latest`: noisiest step for a guess."""
        self.device, self.noise, self.latest = device, noise, latest
        self.shares = signal_shares(device)
        self.unet: UNet2DConditionModel | None = None
        if unet is not None:
            self.unet = averaged_unet(work, unet).to(device)
            self.text = CLIPTextModel.from_pretrained(work / "clip-frozen" / "text_encoder").to(device).eval()
            self.tokenizer = load_tokenizer(work)

    @torch.no_grad()
    def __call__(self, latents: Tensor, captions: list[str], rng: np.random.Generator) -> Tensor:
        """Spoil latents (n, 8, 16, 16): the first half by the UNet if there is one, the rest by noise."""
        n = len(latents)
        noise = torch.from_numpy(rng.standard_normal(latents.shape, dtype=np.float32)).to(self.device)
        strength = torch.from_numpy(rng.uniform(0, self.noise, n).astype(np.float32)).to(self.device)
        spoiled = latents + strength.view(-1, 1, 1, 1) * noise
        if self.unet is None:
            return spoiled
        half = n // 2
        times = torch.from_numpy(rng.integers(10, self.latest, half)).to(self.device)
        share = self.shares[times].view(-1, 1, 1, 1)
        noisy, _ = noised(latents[:half], noise[:half], self.shares[times])
        with precision(self.device):
            ids = token_ids(self.tokenizer, captions[:half]).to(self.device)
            speed = self.unet(noisy, times, self.text(input_ids=ids).last_hidden_state).sample.float()
        return torch.cat([share.sqrt() * noisy - (1 - share).sqrt() * speed, spoiled[half:]])


def decoder_learner() -> AutoencoderKL:
    """An autoencoder of which only what comes after the latents learns."""
    vae = build()
    vae.encoder.requires_grad_(False)
    vae.quant_conv.requires_grad_(False)
    return vae


def main() -> None:
    """Learn windows of scenes, and in the second half of the cooldown whole ones, as users decode them."""
    parser = course_parser(__doc__, "decoder", steps=900, batch=12)
    parser.add_argument("--unet", help="checkpoint of the UNet whose guesses spoil half of the latents")
    parser.add_argument("--noise", type=float, default=0.12, help="largest deviation added to latents")
    parser.add_argument("--latest", type=int, default=200, help="noisiest of the 1000 steps to guess from")
    parser.add_argument("--window", type=int, default=10, help="cells of 8 pixels, until the last steps")
    parser.add_argument("--edges", type=float, default=0.6, help="weight of sharp edges in the loss")
    parser.add_argument("--things", type=float, default=3.0, help="how much more a thing's error weighs")
    options = parser.parse_args()
    work, device = work_dir(options.work), torch.device(options.device)
    torch.manual_seed(options.seed)
    renderer, usual = Renderer(work, device, ODDS), Renderer(work, device)
    source, vae = frozen(work, device), decoder_learner().to(device)
    spoil = Spoiler(work, options.unet, device, options.noise, options.latest)
    course = Course(work, options.name, "vae", vae, Pair(vae, options.rate, muon=True))
    course.begin(options.start)
    look = work / "looks" / f"{options.name}.png"
    whole_from = options.steps * (1 - options.cooldown / 2)

    def report() -> str:
        return f"{judge(vae, usual, look):.2f} dB on unseen scenes"

    for step in course.steps(options.steps, options.batch, report):
        rng = step_rng(options.seed, STAGE, step)
        batch, size = renderer.scenes(rng, options.batch), options.window if step < whole_from else GRID
        latents = spoil(encode(source, batch.images), batch.captions, rng)
        window = windows(latents, batch, rng, size, options.things)
        with precision(device):
            made = vae.decode(window.latents / source.config.scaling_factor).sample
        loss = reconstruction_loss(made.float(), window.pictures, options.edges, window.weights)
        course.learn(loss, learning_rate(step, options.rate, 100, options.steps, options.cooldown))


if __name__ == "__main__":
    main()
