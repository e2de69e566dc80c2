"""From a slider's position to its image file, as the app makes it, against the plain pipeline.

Each is steps × step time + overhead, from two numbers of steps taken in turn. What the browser adds is in the
time that the app itself shows above the picture.

`python -m benchmarks.live`, `python -m benchmarks.live --base sd15-random --steps 1 4 --size 512`
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import torch

from benchmarks.subjects import base_from, base_option, machine
from benchmarks.timing import Seconds
from perfusion_core.model import base as model_base
from perfusion_core.model.applied import applied
from perfusion_core.model.base import Base
from perfusion_core.model.schedulers import make_scheduler
from perfusion_core.model.statistics import CovarianceStats
from perfusion_core.sampling.defaults import sampling_defaults
from perfusion_core.sampling.request import GenerationRequest
from perfusion_core.studio.app import Studio
from perfusion_core.studio.creating.live import Busy, render_live
from perfusion_core.studio.settings import Settings
from tests.tiny_concept import random_concept, random_inverse_covariance

PLAIN, TAUGHT = "a photo of a dog on the beach", "a photo of a <dose> on the beach"
UNITS = {"clock": "by the clock", "cpu": "CPU seconds"}
POSITIONS = (1.2, 0.9, 0.7, 0.5)  # gate biases that the slider passes


@dataclass(frozen=True)
class Line:
    """Seconds that an image takes: `step` for each denoising step and `overhead` once."""

    step: float
    overhead: float

    @classmethod
    def through(cls, steps: tuple[int, int], seconds: tuple[float, ...]) -> Line:
        """The line through two measured points: seconds at these numbers of steps."""
        step = (seconds[1] - seconds[0]) / (steps[1] - steps[0])
        return cls(step, seconds[0] - steps[0] * step)

    def at(self, steps: int) -> float:
        return steps * self.step + self.overhead


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    base_option(parser)
    parser.add_argument("--steps", type=int, nargs=2, default=(4, 20), metavar=("FEW", "MANY"))
    parser.add_argument("--size", type=int, help="pixels; the base's own by default")
    parser.add_argument("--rounds", type=int, default=7, help="counted images of each kind")
    options = parser.parse_args()
    base = base_from(options)
    size = options.size or base.description.image_size
    steps = (min(options.steps), max(options.steps))
    with tempfile.TemporaryDirectory() as folder, torch.no_grad():
        live = _live(base, Path(folder), size)
        ways: list[Callable[[int, int], None]] = [lambda n, _: _plain(base, n, size), live]
        found = _measured(base, ways, steps, options.rounds)
    usual = sampling_defaults(base).steps
    print(f"{base.id}, {size} px, {base.dtype}, {machine()}")
    for unit in ("clock", "cpu"):
        plain, ours = (Line.through(steps, tuple(getattr(one, unit) for one in way)) for way in found)
        print(f"{UNITS[unit]:18}{'a step':>10}{'overhead':>12}{f'at {usual} steps':>14}")
        for name, line in (("plain pipeline", plain), ("live", ours)):
            print(f"{name:18}{line.step:8.4f} s{line.overhead:10.4f} s{line.at(usual):12.3f} s")
        print(f"{'ratio':18}{ours.step / plain.step:8.3f}{'':12}{ours.at(usual) / plain.at(usual):12.3f}")


def _measured(
    base: Base, ways: list[Callable[[int, int], None]], steps: tuple[int, int], rounds: int
) -> list[list[Seconds]]:
    """Median seconds of each way at both numbers of steps, all taken in turn."""
    found: dict[tuple[int, int], list[Seconds]] = {}
    for turn in range(-1, rounds):  # the first is not counted
        for which, way in enumerate(ways):
            for count in steps:
                begun = Seconds.now(base.device)
                way(count, turn)
                if turn >= 0:
                    found.setdefault((which, count), []).append(Seconds.now(base.device).since(begun))

    def middle(which: int, count: int) -> Seconds:
        runs = found[which, count]
        return Seconds(median(run.clock for run in runs), median(run.cpu for run in runs))

    return [[middle(which, count) for count in steps] for which, _ in enumerate(ways)]


def _plain(base: Base, steps: int, size: int) -> None:
    pipe: Any = base.pipeline
    defaults = sampling_defaults(base)
    pipe.scheduler = make_scheduler(base, defaults.scheduler)
    with applied(pipe, []):  # no edit; lets encoder and denoiser differ in precision
        pipe(
            PLAIN,
            num_inference_steps=steps,
            guidance_scale=defaults.guidance,
            height=size,
            width=size,
            generator=torch.Generator().manual_seed(0),
        )


def _live(base: Base, home: Path, size: int) -> Callable[[int, int], None]:
    """The app's own way: a job without a record, a PNG with its recipe."""
    settings = Settings(home=home, base="benchmark")
    model_base.load_base = lambda *_args, **_options: base  # the studio loads the base that is here
    studio = Studio(settings)
    studio.library.add(random_concept(base, "dose", "dog"))
    inverse = random_inverse_covariance(base.description.text_width)
    studio.bases.get().__dict__["covariance"] = CovarianceStats(inverse, "benchmark", 1.0)
    studio.start()

    def live(steps: int, turn: int) -> None:
        bias = POSITIONS[turn % len(POSITIONS)]
        request = GenerationRequest(
            TAUGHT, seed=0, steps=steps, width=size, height=size, biases={"dose": bias}
        )
        made = render_live(studio.worker, request, settings.base, settings.cache_folder, 3600)
        assert not isinstance(made, Busy), made

    return live


if __name__ == "__main__":
    main()
