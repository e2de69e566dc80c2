"""What is compared and how thoroughly: the command's options."""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path

from perfusion_core.errors import PerfusionError

PARTS = ("budget", "best", "bleed", "one-shot")


@dataclass(frozen=True)
class Options:
    """As `parser` documents them. budget: seconds a teaching may take, 0 for what our preset takes."""

    concepts: Path = Path("assets/examples")
    out: Path = Path("results")
    base: str = "pocket"
    device: str = "auto"
    judge: Path | None = None
    methods: tuple[str, ...] = ()
    parts: tuple[str, ...] = PARTS
    develop: tuple[str, ...] = ()
    seeds: int = 4
    prompts: int = 20
    points: int = 5
    held_out: int = 2
    steps: int = 0
    budget: float = 0.0
    rates: int = 4
    lengths: tuple[float, ...] = (0.5, 1.0)
    limit: int = 0
    pairs: int = 6
    resamples: int = 1000
    seed: int = 0

    def checked(self) -> Options:
        """Itself, or PerfusionError naming the option that cannot be."""
        for part in self.parts:
            if part not in PARTS:
                raise PerfusionError(f"There is no part {part!r}. Choose among: {', '.join(PARTS)}.")
        for name in ("seeds", "prompts", "points", "held_out", "rates", "resamples"):
            if getattr(self, name) < 1:
                raise PerfusionError(f"--{name.replace('_', '-')} is {getattr(self, name)}; give 1 or more.")
        if self.budget < 0:
            raise PerfusionError(f"--budget is {self.budget}; give seconds, or 0 for what our preset takes.")
        return self


# To see that all of it works, not for figures: small in every direction.
QUICK = {
    "parts": ("budget", "bleed", "one-shot"),
    "seeds": 2,
    "prompts": 4,
    "points": 3,
    "steps": 8,
    "budget": 15.0,
    "rates": 2,
    "limit": 2,
    "pairs": 1,
    "resamples": 200,
}


def read_options(arguments: list[str] | None = None) -> Options:
    """The command line's options. Raises PerfusionError for one that cannot be."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.rivals", description=__doc__)
    add, empty = parser.add_argument, Options()
    add("--concepts", type=Path, default=empty.concepts, help="folder of concepts, or DreamBench's")
    add("--out", type=Path, default=empty.out, help="results; a second call goes on there")
    add("--base", default=empty.base, help="as for the app: a name, a folder, a file, an id")
    add("--device", default=empty.device, help="auto, cpu, cuda")
    add("--judge", type=Path, help="work folder of tools.pocket with a trained judge; else the base's CLIP")
    add("--methods", default="", help="comma-separated; all by default")
    add("--parts", help=f"comma-separated among {', '.join(PARTS)}")
    add("--develop", default="", help="concepts the settings are chosen on; the first two by default")
    add("--seeds", type=int, help="images a prompt and point")
    add("--prompts", type=int, help="how many of the 20")
    add("--points", type=int, help="operating points a method")
    add("--held-out", type=int, default=empty.held_out, help="photos of each concept kept for judging")
    add("--steps", type=int, help="denoising steps of every image; 0 for the base's own")
    add("--budget", type=float, help="seconds a teaching may take; 0 for what our preset takes")
    add("--rates", type=int, help="learning rates tried for each method, up to 4")
    add("--limit", type=int, help="concepts compared; 0 for all")
    add("--pairs", type=int, help="pairs of each kind, for bleed")
    add("--resamples", type=int, help="of the bootstrap")
    add("--seed", type=int, default=empty.seed)
    add("--quick", action="store_true", help="a small run of everything, to see that it works")
    typed = {name: value for name, value in vars(parser.parse_args(arguments)).items() if value is not None}
    quick = typed.pop("quick")
    for name in ("methods", "parts", "develop"):
        if name in typed:
            typed[name] = tuple(word.strip() for word in typed[name].split(",") if word.strip())
    return Options(**((QUICK if quick else {}) | typed)).checked()
