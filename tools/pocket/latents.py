"""Draw scenes once, encode them with the frozen autoencoder, and keep latents and captions in shards.

Run: `python -m tools.pocket.latents --shards 24`; shards that are there already are kept, so it goes on where
it was cut off, and several runs may share the work with `--first`/`--stride`. The autoencoder is frozen first
with `python -m tools.pocket.latents --freeze`, which also measures the scale that gives latents unit
deviation.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import torch
from diffusers import AutoencoderKL
from torch import Tensor
from torch.nn import functional as F

from tools.pocket import checkpoint
from tools.pocket.autoencoder import build
from tools.pocket.paths import work_dir
from tools.pocket.render import Renderer
from tools.pocket.scene import Odds
from tools.pocket.training import Log, precision, stage_parser, step_rng
from tools.pocket.words import load_tokenizer, token_ids

STAGE = 3
SHARD = 4096
# Small parts stay in the processor's cache: 8.4 ms a picture in eights, 24 ms in sixty-fours.
CPU_BATCH = 8
# What the UNet learns last is drawn more often: pairs, and classes of several pictures.
ODDS = Odds(pair=0.50, accessory_animal=0.32, style=0.18, several=0.5)


@dataclass(frozen=True)
class Shard:
    """Encoded scenes: latents (n, 8, 16, 16) of unit deviation, in half precision; token ids (n, 32).

    covered: (n, 1, 16, 16), half precision, the share of each latent's patch that is thing or hat.
    """

    latents: Tensor
    ids: Tensor
    covered: Tensor


@torch.no_grad()
def encode(vae: AutoencoderKL, images: Tensor) -> Tensor:
    """Scaled latents (n, 8, 16, 16) of pictures (n, 3, 128, 128) in [0, 1]."""
    part = CPU_BATCH if images.device.type == "cpu" else len(images)
    with precision(images.device):
        hidden = torch.cat([vae.encode(some * 2 - 1).latent_dist.mode() for some in images.split(part)])
    return hidden.float() * vae.config.scaling_factor


def freeze(work: Path, source: str, device: torch.device) -> AutoencoderKL:
    """Copy the checkpoint `source` to the frozen autoencoder folder, with its scaling factor measured."""
    saved = checkpoint.load(work / "checkpoints" / f"{source}.pt")
    assert saved is not None, f"no checkpoint {source}: run train_vae first"
    vae = build().to(device).eval()
    vae.load_state_dict(saved["vae"])
    vae.register_to_config(scaling_factor=1.0)
    images = Renderer(work, device).scenes(step_rng(999, STAGE, 1), 256).images
    hidden = encode(vae, images)
    vae.register_to_config(scaling_factor=round(1 / float(hidden.std()), 4))
    folder = work / "vae-frozen"
    vae.save_pretrained(folder.with_suffix(".partial"))
    os.replace(folder.with_suffix(".partial"), folder)
    spread = [round(float(v), 2) for v in (hidden * vae.config.scaling_factor).std((0, 2, 3))]
    mean = [round(float(v), 2) for v in (hidden * vae.config.scaling_factor).mean((0, 2, 3))]
    Log(work, "latents")(
        f"frozen at step {saved['step']}: scale {vae.config.scaling_factor}, std {spread}, mean {mean}"
    )
    return vae


def frozen(work: Path, device: torch.device) -> AutoencoderKL:
    """The frozen autoencoder."""
    vae = AutoencoderKL.from_pretrained(work / "vae-frozen").to(device).eval()
    return vae.to(memory_format=torch.channels_last)  # type: ignore[call-overload]


def shard_path(work: Path, index: int) -> Path:
    """Where shard `index` lies."""
    return work / "latents" / f"shard-{index:04d}.pt"


def load_shards(work: Path, known: frozenset[int] = frozenset()) -> dict[int, Shard]:
    """Every finished shard but the `known` ones, by index."""
    found = {}
    for path in sorted((work / "latents").glob("shard-*.pt")):
        index = int(path.stem.split("-")[1])
        if index not in known:
            state = checkpoint.load(path)
            assert state is not None
            found[index] = Shard(state["latents"], state["ids"], state["covered"])
    return found


def main() -> None:
    """Freeze the autoencoder, or fill shards."""
    parser = stage_parser(__doc__)
    parser.add_argument("--freeze", action="store_true")
    parser.add_argument("--source", default="vae", help="autoencoder checkpoint to freeze")
    parser.add_argument("--shards", type=int, default=24)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--stride", type=int, default=1)
    parser.add_argument("--batch", type=int, default=64)
    options = parser.parse_args()
    work, device = work_dir(options.work), torch.device(options.device)
    if options.freeze:
        freeze(work, options.source, device)
        return
    log, renderer, vae, tokenizer = (
        Log(work, "latents"),
        Renderer(work, device, ODDS),
        frozen(work, device),
        load_tokenizer(work),
    )
    for index in range(options.first, options.shards, options.stride):
        path = shard_path(work, index)
        if path.is_file():
            continue
        rng = step_rng(options.seed, STAGE, index)
        latents, ids, covered = [], [], []
        for _ in range(SHARD // options.batch):
            batch = renderer.scenes(rng, options.batch)
            latents.append(encode(vae, batch.images).half().cpu())
            ids.append(token_ids(tokenizer, batch.captions).short())
            covered.append(F.avg_pool2d(batch.covered, 8).half().cpu())
        kept = {"latents": latents, "ids": ids, "covered": covered}
        checkpoint.save(path, {name: torch.cat(parts) for name, parts in kept.items()})
        log(f"shard {index} done")


if __name__ == "__main__":
    main()
