"""Encoded scenes on disk: rendered once, encoded by the frozen autoencoder, kept in shards of 4096.

Run: `python -m tools.pocket.shards --freeze` (after train_vae), then
`python -m tools.pocket.shards --shards 64`. Shards that exist are kept, so it goes on where it was cut off;
several runs may share the work with `--first`/`--stride`, and training takes in new shards as they appear.
On a GPU none are needed: `train_live` renders while it trains.
"""

from __future__ import annotations

import os
from pathlib import Path

import torch
from diffusers import AutoencoderKL

from tools.pocket import checkpoint, codes
from tools.pocket.autoencoder import build, encode, frozen
from tools.pocket.feed import Encoded, Pool, encoded
from tools.pocket.render import Renderer
from tools.pocket.scene import Odds
from tools.pocket.table import Table
from tools.pocket.training import Log, open_stage, stage_parser, step_rng

STAGE = 4
SHARD = 4096
# Lone things at plain places come first; pairs and hats are learned last.
EARLY = Odds(pair=0.08, hat_alive=0.18, hat_other=0.10, plain=0.35, effect=0.06, varied=0.45)
LATE = Odds(pair=0.35, hat_alive=0.32, hat_other=0.22, plain=0.25, effect=0.12, effect_any=True, varied=0.40)


def freeze(work: Path, source: str) -> None:
    """Write the checkpoint `source` as the autoencoder of every later stage, with its measured scale."""
    saved = checkpoint.need(work, source, "train_vae")
    vae = build().eval()
    vae.load_state_dict(saved["vae"])
    vae.register_to_config(scaling_factor=1.0)
    hidden = encode(vae, Renderer(work).scenes(step_rng(999, STAGE, 1), 256).images)
    vae.register_to_config(scaling_factor=round(1 / float(hidden.std()), 4))
    folder = work / "vae-frozen"
    vae.save_pretrained(folder.with_suffix(".partial"))
    os.replace(folder.with_suffix(".partial"), folder)
    spread = [round(float(v), 2) for v in (hidden * vae.config.scaling_factor).std((0, 2, 3))]
    Log(work, "shards")(
        f"frozen at step {saved['step']}: scale {vae.config.scaling_factor}, deviations {spread}"
    )


def save(path: Path, scenes: Encoded) -> None:
    """Write a shard: plain tensors alone."""
    made = {"latents": scenes.latents, "weights": scenes.weights, "codes": scenes.codes}
    checkpoint.save(
        path, {**{name: value.cpu() for name, value in made.items()}, "table": scenes.table.plain()}
    )


def load(path: Path) -> Encoded:
    """Read a shard."""
    saved = checkpoint.load(path)
    assert saved is not None
    return Encoded(saved["latents"], saved["weights"], saved["codes"], Table.from_plain(saved["table"]))


def take_in(work: Path, pool: Pool) -> None:
    """Put finished shards that the pool lacks into it, of more than it holds the latest.

    Raises:
        SystemExit: there are none.
    """
    paths = {int(path.stem.split("-")[1]): path for path in (work / "shards").glob("shard-*.pt")}
    if not paths:
        raise SystemExit("There are no shards: run `python -m tools.pocket.shards` first.")
    latest = sorted(paths)[-len(pool.numbers) :]
    for number in latest:
        if number not in pool.held:
            pool.put(number, load(paths[number]))


def make(
    renderer: Renderer,
    vae: AutoencoderKL,
    coder: codes.Coder,
    seed: int,
    number: int,
    batch: int,
    size: int | None = None,
) -> Encoded:
    """The scenes of shard `number`, so many at once as `batch` says; `size` of them (default: SHARD)."""
    size = size or SHARD
    if size % batch:
        raise SystemExit(f"{size} scenes cannot be drawn {batch} at a time: say a divisor.")
    rng = step_rng(seed, STAGE, number)
    parts = [encoded(renderer.scenes(rng, batch), vae, coder) for _ in range(size // batch)]
    tensors = (torch.cat([getattr(part, name) for part in parts]) for name in ("latents", "weights", "codes"))
    columns = [part.table.plain() for part in parts]
    table = {name: torch.cat([column[name] for column in columns]) for name in columns[0]}
    return Encoded(*tensors, Table.from_plain(table))


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
    options = parser.parse_args()
    work, device = open_stage(options)
    if options.freeze:
        freeze(work, options.source)
        return
    log, vae = Log(work, "shards"), frozen(work, device)
    coder = codes.load(work)[0].to(device)
    renderer = Renderer(work, device)
    for number in range(options.first, options.shards, options.stride):
        path = work / "shards" / f"shard-{number:04d}.pt"
        if not path.is_file():
            renderer.odds = EARLY if number < options.early else LATE
            save(path, make(renderer, vae, coder, options.seed, number, options.batch))
            log(f"shard {number} done")


if __name__ == "__main__":
    main()
