"""Train the autoencoder on random crops of fresh scenes; goes on from its checkpoint.

Run: `python -m tools.pocket.train_vae --steps 6000`. With `--decoder-only` the encoder (and so every latent
already computed) stays as it is and only the decoder goes on learning.
"""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import torch
from diffusers import AutoencoderKL
from torch import Tensor

from tools.pocket import checkpoint
from tools.pocket.autoencoder import build, decibels, reconstruction_loss
from tools.pocket.optimiser import Pair
from tools.pocket.paths import work_dir
from tools.pocket.pictures import save_grid
from tools.pocket.render import SIZE, Renderer
from tools.pocket.training import Log, learning_rate, precision, stage_parser, step_rng

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
    """Train until `--steps`, saving every two minutes."""
    parser = stage_parser(__doc__)
    parser.add_argument("--steps", type=int, default=6000)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--crop", type=int, default=64)
    parser.add_argument("--rate", type=float, default=1e-3)
    parser.add_argument("--cooldown", type=float, default=0.3, help="share of the steps with falling rate")
    parser.add_argument("--kl", type=float, default=5e-4)
    parser.add_argument("--edges", type=float, default=0.25, help="weight of sharp edges in the loss")
    parser.add_argument("--decoder-only", action="store_true")
    parser.add_argument("--name", default="vae", help="checkpoint name in the work folder")
    parser.add_argument("--start", help="begin from this checkpoint's weights (name), with a fresh optimiser")
    options = parser.parse_args()
    work, device = work_dir(options.work), torch.device(options.device)
    log = Log(work, options.name)
    torch.manual_seed(options.seed)
    renderer, vae = Renderer(work, device), build().to(device)
    if options.decoder_only:
        vae.encoder.requires_grad_(False)
        vae.quant_conv.requires_grad_(False)
    trained = [weight for weight in vae.parameters() if weight.requires_grad]
    optimiser = Pair(vae, options.rate, muon=True)
    path, step = work / "checkpoints" / f"{options.name}.pt", 0
    if saved := checkpoint.load(path):
        vae.load_state_dict(saved["vae"])
        optimiser.load_state_dict(saved["optimiser"])
        step = saved["step"]
        log(f"goes on from step {step}")
    elif options.start:
        begun = checkpoint.load(work / "checkpoints" / f"{options.start}.pt")
        assert begun is not None, f"no checkpoint {options.start}"
        vae.load_state_dict(begun["vae"])
    look = work / "looks" / f"{options.name}.png"
    save_due, tell_due = checkpoint.Every(120), checkpoint.Every(60)
    seen, since, losses = 0, time.monotonic(), []

    def keep() -> None:
        checkpoint.save(path, {"vae": vae.state_dict(), "optimiser": optimiser.state_dict(), "step": step})

    while step < options.steps:
        rng = step_rng(options.seed, STAGE, step)
        images = renderer.scenes(rng, -(-options.batch // 2)).images.repeat(2, 1, 1, 1)[: options.batch]
        true = crops(images, rng, options.crop)
        torch.manual_seed(options.seed * 1_000_003 + step)
        with precision(device):
            with torch.set_grad_enabled(not options.decoder_only):
                hidden = vae.encode(true).latent_dist
            made = vae.decode(hidden.sample()).sample
        loss = reconstruction_loss(made.float(), true, options.edges, weighted=options.decoder_only)
        if not options.decoder_only:
            loss = loss + options.kl * hidden.kl().mean() / hidden.mean[0].numel()
        vae.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(trained, 1.0)
        optimiser.step(learning_rate(step, options.rate, 100, options.steps, options.cooldown))
        step, seen = step + 1, seen + options.batch
        losses.append(float(loss.detach()))
        if save_due.due():
            keep()
            log(f"step {step}: {judge(vae, renderer, look):.2f} dB on unseen scenes")
        if tell_due.due():
            rate = seen / (time.monotonic() - since)
            log(f"step {step} loss {np.mean(losses[-200:]):.4f} {rate:.1f} crops/s")
            seen, since = 0, time.monotonic()
    keep()
    log(f"done at {step}: {judge(vae, renderer, look):.2f} dB on unseen scenes")


if __name__ == "__main__":
    main()
