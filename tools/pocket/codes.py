"""Appearance codes: what a thing looks like in 192 numbers, linear in its pixels.

Run: `python -m tools.pocket.codes`. The code of a look (32x32 premultiplied RGBA) is its projection on the
principal components of many looks, varied ones included, each divided by the root of its deviation: half way
between plain and whitened, so that no direction is lost and none is only noise. Codes have unit mean square.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional as F

from tools.pocket import checkpoint
from tools.pocket.paths import work_dir
from tools.pocket.render import CODE_SIZE, Renderer
from tools.pocket.scene import Odds, Thing
from tools.pocket.table import draw_things
from tools.pocket.things import ARTS, COLOURS, kinds
from tools.pocket.training import stage_parser, step_rng

STAGE = 2
WIDTH = 192
ODDS = Odds(varied=0.6)


@dataclass(frozen=True)
class Coder:
    """mean: (4096,); basis: (4096, 192), the components over the root of their deviation, times one scale."""

    mean: Tensor
    basis: Tensor

    def to(self, device: torch.device) -> Coder:
        """The same on a device."""
        return Coder(self.mean.to(device), self.basis.to(device))

    def __call__(self, looks: Tensor) -> Tensor:
        """Looks (..., 4, 32, 32) -> codes (..., 192)."""
        return (looks.flatten(-3) - self.mean) @ self.basis


def small(looks: Tensor) -> Tensor:
    """Looks (n, 4, 112, 112) at the size codes are taken from."""
    return F.interpolate(looks, size=CODE_SIZE, mode="bilinear", antialias=True, align_corners=False).clamp(
        0, 1
    )


def fit(looks: Tensor) -> Coder:
    """Principal components of looks (n, 4, 32, 32)."""
    flat = looks.flatten(1).double()
    mean = flat.mean(0)
    centred = flat - mean
    if len(flat) < flat.shape[1]:
        deviation, components = torch.linalg.svd(centred, full_matrices=False)[1:]
        variance, components = deviation[:WIDTH].square() / len(flat), components[:WIDTH].T
    else:
        variance, components = torch.linalg.eigh(centred.T @ centred / len(flat))
        variance, components = variance.flip(0)[:WIDTH], components.flip(1)[:, :WIDTH]
    basis = components / variance.pow(0.25)
    scale = variance.sqrt().mean().rsqrt()  # coordinates now vary by the root of their variance
    return Coder(mean.float(), (basis * scale).float())


def table(renderer: Renderer, coder: Coder) -> Tensor:
    """Codes of every kind in every art style, plain and in every named colour: (kinds, 3, 11, 192).

    NaN where an art style lacks a kind; entry 0 of the third axis is the thing's own colour.
    """
    shades = (None, *COLOURS)
    made = torch.full((len(kinds()), len(ARTS), len(shades), WIDTH), float("nan"))
    for a, art in enumerate(ARTS):
        for number in renderer.world.drawable[art]:
            sprite = (art, kinds()[number].code)
            things = [Thing(number, sprite, colour) for colour in shades]
            made[number, a] = coder(small(renderer.looks(things)))
    return made


def load(work: Path) -> tuple[Coder, Tensor]:
    """The coder and the table of codes.

    Raises:
        SystemExit: this stage has not been run.
    """
    saved = checkpoint.load(work / "codes.pt")
    if saved is None:
        raise SystemExit("There are no codes: run `python -m tools.pocket.codes` first.")
    return Coder(saved["mean"], saved["basis"]), saved.get("table", torch.empty(0))


def main() -> None:
    """Fit the components on random looks, and code every kind."""
    parser = stage_parser(__doc__)
    parser.add_argument("--looks", type=int, default=12_000)
    options = parser.parse_args()
    work = work_dir(options.work)
    renderer = Renderer(work, odds=ODDS)
    rng, generator = step_rng(options.seed, STAGE, 0), torch.Generator().manual_seed(options.seed)
    looks = []
    for _ in range(options.looks // 100):
        things = draw_things(rng, ODDS, renderer.world, rng.integers(len(ARTS), size=100))
        looks.append(small(renderer.looks(things, generator)))
    coder = fit(torch.cat(looks))
    codes = coder(torch.cat(looks))
    checkpoint.save(
        work / "codes.pt", {"mean": coder.mean, "basis": coder.basis, "table": table(renderer, coder)}
    )
    deviation = codes.std(0)
    print(f"mean square {codes.square().mean():.3f}; deviation {deviation[0]:.2f} to {deviation[-1]:.2f}")


if __name__ == "__main__":
    main()
