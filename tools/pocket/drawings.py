"""Half-formed and broken drawings of known things by a UNet in training: no scorer may take them for true.

Run: `python -m tools.pocket.drawings --unet unet`. Writes $WORK/drawings.pt: for each thing a drawing from
a code near its own (half-formed) and one from a code far outside all looks (rubble), as teaching makes them
when it is stopped early or driven too long. Held-out things only with `--held-out`, for tests.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from tools.pocket import checkpoint, codes
from tools.pocket.export import averaged_unet
from tools.pocket.look import Painter
from tools.pocket.pictures import save_grid
from tools.pocket.render import Renderer
from tools.pocket.scene import Scene, Sprite, Thing, caption
from tools.pocket.things import GENERIC, PLACES, held_out
from tools.pocket.training import open_stage, stage_parser, step_rng

STAGE = 11
PART = 16
HALF = (1.0, 0.6)  # what the code is multiplied by, and the deviation of the noise on it: still the thing
RUBBLE = (2.4, 3.5)  # nothing in its colours


@dataclass(frozen=True)
class Drawings:
    """Sprites of n things; half, rubble: (n, 3, 128, 128) in [0, 1]."""

    sprites: list[Sprite]
    half: Tensor
    rubble: Tensor


def load(work: Path, held_out: bool = False) -> Drawings | None:
    """The drawings, or None where this stage has not been run."""
    saved = checkpoint.load(work / ("drawings-held-out.pt" if held_out else "drawings.pt"))
    if saved is None:
        return None
    return Drawings(saved["sprites"], saved["half"].float() / 255, saved["rubble"].float() / 255)


def main() -> None:
    """Draw them."""
    parser = stage_parser(__doc__)
    parser.add_argument("--unet", default="unet")
    parser.add_argument("--count", type=int, default=192)
    parser.add_argument("--steps", type=int, default=8)
    parser.add_argument("--held-out", action="store_true")
    options = parser.parse_args()
    work, device = open_stage(options)
    painter = Painter(work, averaged_unet(work, options.unet), device)
    coder = codes.load(work)[0].to(device)
    renderer = Renderer(work, device, refuse=not options.held_out)
    rng = step_rng(options.seed, STAGE, int(options.held_out))
    if options.held_out:
        sprites = [("photo", thing.code) for thing in held_out().values()]
    else:
        arts = [str(art) for art in rng.choice(list(renderer.world.drawable), size=options.count)]
        sprites = [renderer.world.sprite(rng, art)[1] for art in arts]
    found: dict[str, list[Tensor]] = {"half": [], "rubble": []}
    for start in range(0, len(sprites), PART):
        part = sprites[start : start + PART]
        scenes = [Scene((Thing(0, sprite),), str(rng.choice(list(PLACES)[1:]))) for sprite in part]
        told = [caption(scene, names=(str(rng.choice(GENERIC)),)) for scene in scenes]
        true = coder(renderer.draw(rng, scenes).looks[:, 0])
        for name, (times, spread) in (("half", HALF), ("rubble", RUBBLE)):
            noise = torch.from_numpy(rng.standard_normal(tuple(true.shape), dtype=np.float32)).to(device)
            drawn = painter(
                told, true * times + spread * noise, steps=options.steps, seed=int(rng.integers(2**31))
            )
            found[name].append((drawn * 255).round().byte().cpu())
        print(f"{start + len(part)} of {len(sprites)}", flush=True)
    name = "drawings-held-out" if options.held_out else "drawings"
    images = {key: torch.cat(value) for key, value in found.items()}
    checkpoint.save(work / f"{name}.pt", {"sprites": sprites, **images})
    shown = torch.cat([images["half"][:PART], images["rubble"][:PART]]).float() / 255
    save_grid(shown, work / "looks" / f"{name}.png", columns=PART)


if __name__ == "__main__":
    main()
