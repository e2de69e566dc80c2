"""Sharpen the decoder for the frozen encoder's latents; goes on from its checkpoint.

Run: `python -m tools.pocket.train_decoder --start vae --unet unet-cooled --steps 900`. The encoder stays as
it is. Training the two together spends itself on backdrops; here the things in an image weigh most, and the
latents are spoiled a little in the way a UNet's are, which the decoder learns to see through.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from diffusers import AutoencoderKL, UNet2DConditionModel
from torch import Tensor
from torch.nn import functional as F

from tools.pocket import codes
from tools.pocket.autoencoder import build, frozen, pixel_weights, reconstruction_loss
from tools.pocket.denoiser import SplitAttention, noised, signal_shares
from tools.pocket.export import averaged_unet
from tools.pocket.feed import Feed, Mix, encoded
from tools.pocket.optimiser import Pair
from tools.pocket.render import Batch, Renderer
from tools.pocket.scene import Odds
from tools.pocket.train_vae import held_out_scenes, judge
from tools.pocket.training import Course, Pace, course_parser, open_stage, precision, step_rng

STAGE = 8
CELL = 8  # pixels a latent cell is wide
GRID = 16  # cells an image is wide
ODDS = Odds(pair=0.4, hat_alive=0.35, hat_other=0.25, effect=0.15, effect_any=True, varied=0.3)


@dataclass(frozen=True)
class Window:
    """Parts of scenes: latents (n, 8, s, s), images (n, 3, 8s, 8s) in [-1, 1], weights (n, 1, 8s, 8s)."""

    latents: Tensor
    images: Tensor
    weights: Tensor


def windows(latents: Tensor, batch: Batch, rng: np.random.Generator, size: int, things: float) -> Window:
    """A window of `size` cells from each scene, its middle more often on a thing than beside it."""
    images = batch.images * 2 - 1
    weights = pixel_weights(images, batch.covered, things)
    if size == GRID:
        return Window(latents, images, weights)
    odds = F.avg_pool2d(batch.covered, CELL).flatten(1).cpu().numpy().astype(float) + 0.02
    middles = [divmod(int(rng.choice(GRID**2, p=row / row.sum())), GRID) for row in odds]
    corners = [
        (min(max(y - size // 2, 0), GRID - size), min(max(x - size // 2, 0), GRID - size)) for y, x in middles
    ]
    # Near a window's rim the decoder lacks its surroundings: what it draws there is not counted.
    cut = [_cut(each, corners, size) for each in (latents, images, weights)]
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

    def __init__(
        self, unet: UNet2DConditionModel | None, device: torch.device, noise: float, latest: int
    ) -> None:
        """`noise`: largest deviation added to latents of deviation 1. `latest`: noisiest step for a guess."""
        self.device, self.noise, self.latest = device, noise, latest
        self.shares, self.unet = signal_shares(device), unet
        if unet is not None:
            unet.to(device).eval().set_attn_processor(SplitAttention(fused=device.type == "cuda"))

    @torch.no_grad()
    def __call__(self, latents: Tensor, states: Tensor | None, rng: np.random.Generator) -> Tensor:
        """Spoil latents (n, 8, 16, 16): the first half by the UNet if there is one, the rest by noise.

        states: (n, 64, 256), what the UNet reads.
        """
        n = len(latents)
        noise = torch.from_numpy(rng.standard_normal(tuple(latents.shape), dtype=np.float32)).to(self.device)
        strength = torch.from_numpy(rng.uniform(0, self.noise, n).astype(np.float32)).to(self.device)
        spoiled = latents + strength.view(-1, 1, 1, 1) * noise
        if self.unet is None or states is None:
            return spoiled
        half = n // 2
        times = torch.from_numpy(rng.integers(10, self.latest, half)).to(self.device)
        share = self.shares[times].view(-1, 1, 1, 1)
        noisy, _ = noised(latents[:half], noise[:half], self.shares[times])
        with precision(self.device):
            speed = self.unet(noisy, times, states[:half].float()).sample.float()
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
    work, device = open_stage(options)
    renderer, unseen = Renderer(work, device, ODDS), held_out_scenes(work, device)
    source, vae = frozen(work, device), decoder_learner().to(device)
    vae.load_state_dict(source.state_dict())
    coder = codes.load(work)[0].to(device)
    unet = averaged_unet(work, options.unet) if options.unet else None
    spoil = Spoiler(unet, device, options.noise, options.latest)
    feed = Feed(work, device, Mix(drop=0.0, noise=0.0), renderer.world) if unet else None
    course = Course(work, options.name, "vae", vae, Pair(vae, options.rate, muon=True), options.out)
    course.begin(options.start)
    look, pace = work / "looks" / f"{options.name}.png", Pace.of(options, warmup=100)

    def report() -> str:
        return f"{judge(vae, unseen, look):.2f} dB on held-out things"

    for step in course.steps(pace, options.batch, report):
        rng = step_rng(options.seed, STAGE, step)
        batch = renderer.scenes(rng, options.batch)
        size = options.window if pace.share(step) < 1 - options.cooldown / 2 else GRID
        scenes = encoded(batch, source, coder)
        states = feed.batch(scenes, rng)[1] if feed else None
        window = windows(spoil(scenes.latents.float(), states, rng), batch, rng, size, options.things)
        with precision(device):
            made = vae.decode(window.latents / source.config.scaling_factor).sample
        loss = reconstruction_loss(made.float(), window.images, options.edges, window.weights)
        course.learn(loss, pace.rate(step))


if __name__ == "__main__":
    main()
