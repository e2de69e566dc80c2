"""Encoded scenes on disk: rendered once, encoded by the frozen autoencoder, kept in shards of 4096.

Run: `python -m tools.pocket2.shards --freeze` (after train_vae), then
`python -m tools.pocket2.shards --shards 64`. Shards that exist are kept, so it goes on where it was cut off;
several runs may share the work with `--first`/`--stride`, and training takes in new shards as they appear.
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
from tools.pocket.autoencoder import build, detail
from tools.pocket.latents import encode
from tools.pocket.paths import work_dir
from tools.pocket.training import Log, stage_parser, step_rng
from tools.pocket2 import codes
from tools.pocket2.render import Renderer
from tools.pocket2.scene import Odds, Scene

STAGE = 4
SHARD = 4096
# Lone things at plain places come first; pairs and hats are learned last.
EARLY = Odds(pair=0.08, hat_alive=0.18, hat_other=0.10, plain=0.35, effect=0.06, varied=0.45)
LATE = Odds(pair=0.35, hat_alive=0.32, hat_other=0.22, plain=0.25, effect=0.12, effect_any=True, varied=0.40)


@dataclass(frozen=True)
class Shard:
    """latents (n, 8, 16, 16) fp16 of unit deviation; weights (n, 1, 16, 16) fp16; codes (n, 2, 192) fp16."""

    latents: Tensor
    weights: Tensor
    codes: Tensor
    scenes: list[Scene]


def freeze(work: Path, source: str) -> None:
    """Write the checkpoint `source` as the autoencoder of every later stage, with its measured scale."""
    saved = checkpoint.load(work / "checkpoints" / f"{source}.pt")
    assert saved is not None, f"no checkpoint {source}: run train_vae first"
    vae = build().eval()
    vae.load_state_dict(saved["vae"])
    vae.register_to_config(scaling_factor=1.0)
    hidden = encode(vae, Renderer(work).scenes(step_rng(999, STAGE, 1), 256).images)
    vae.register_to_config(scaling_factor=round(1 / float(hidden.std()), 4))
    folder = work / "vae2-frozen"
    vae.save_pretrained(folder.with_suffix(".partial"))
    os.replace(folder.with_suffix(".partial"), folder)
    spread = [round(float(v), 2) for v in (hidden * vae.config.scaling_factor).std((0, 2, 3))]
    Log(work, "shards")(
        f"frozen at step {saved['step']}: scale {vae.config.scaling_factor}, deviations {spread}"
    )


def frozen(work: Path, device: torch.device | str = "cpu") -> AutoencoderKL:
    """The frozen autoencoder."""
    vae = AutoencoderKL.from_pretrained(work / "vae2-frozen").to(device).eval()
    return vae.to(memory_format=torch.channels_last)  # type: ignore[call-overload]


def weights(images: Tensor, covered: Tensor) -> Tensor:
    """How much a latent cell's error counts: (n, 1, 16, 16), 1 on backdrops to 5 on fine detail."""
    fine = (detail(images * 2 - 1) - 1) / 4
    return 1 + F.avg_pool2d(covered * (2 + 2 * fine), 8)


def load(work: Path, known: frozenset[int] = frozenset(), newest: int | None = None) -> dict[int, Shard]:
    """Finished shards by number, but the `known` ones; with `newest`, only that many of the latest."""
    found = {}
    paths = sorted((work / "shards2").glob("shard-*.pt"))
    for path in paths[-newest:] if newest else paths:
        number = int(path.stem.split("-")[1])
        if number not in known:
            state = checkpoint.load(path)
            assert state is not None
            found[number] = Shard(**state)
    return found


def main() -> None:
    """Freeze the autoencoder, or fill shards."""
    parser = stage_parser(__doc__)
    parser.add_argument("--freeze", action="store_true")
    parser.add_argument("--source", default="vae", help="autoencoder checkpoint to freeze")
    parser.add_argument("--shards", type=int, default=64)
    parser.add_argument("--early", type=int, default=24, help="so many shards are drawn by the early odds")
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--stride", type=int, default=1)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--threads", type=int, default=0)
    options = parser.parse_args()
    if options.threads:
        torch.set_num_threads(options.threads)
    work, device = work_dir(options.work), torch.device(options.device)
    if options.freeze:
        freeze(work, options.source)
        return
    log, vae = Log(work, "shards"), frozen(work, device)
    coder, _ = codes.load(work)
    renderer = Renderer(work, device)
    for number in range(options.first, options.shards, options.stride):
        path = work / "shards2" / f"shard-{number:04d}.pt"
        if path.is_file():
            continue
        renderer.odds = EARLY if number < options.early else LATE
        rng, parts, scenes = step_rng(options.seed, STAGE, number), [], []
        for _ in range(SHARD // options.batch):
            batch = renderer.scenes(rng, options.batch)
            made = (encode(vae, batch.images), weights(batch.images, batch.covered), coder(batch.looks))
            parts.append([tensor.half().cpu() for tensor in made])
            scenes += batch.scenes
        latents, counts, coded = (torch.cat(tensors) for tensors in zip(*parts, strict=True))
        checkpoint.save(path, {"latents": latents, "weights": counts, "codes": coded, "scenes": scenes})
        log(f"shard {number} done")


if __name__ == "__main__":
    main()
