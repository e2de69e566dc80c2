"""Concepts taught in one batch against the same concepts taught one after another, in turn.

`python -m benchmarks.together`; the architecture of Stable Diffusion 1.5 on a CPU, which takes minutes:
`python -m benchmarks.together --base sd15-random --dtype float32 --steps 2 --batch 1 --size 128 --repeats 1`.
Only optimizer steps are shared: photos are encoded before the clock starts, and nothing is scored. Concepts
an hour are of the process's own CPU seconds (by the clock on CUDA), peak memory is the process's, loading
included (torch's own count on CUDA).
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from statistics import median

import numpy as np
from PIL import Image

from benchmarks.card import card_option, left_on_card, limit_card
from benchmarks.subjects import base_from, base_option, machine
from benchmarks.timing import Seconds, comparison, peak_mib
from perfusion_core.model.base import Base
from perfusion_core.model.statistics import CovarianceStats
from perfusion_core.training.photos import Photo, load_photos
from perfusion_core.training.recipe import Recipe
from perfusion_core.training.step import PendingStep
from perfusion_core.training.task import TrainingTask
from perfusion_core.training.together import Course, interleaved
from perfusion_core.training.trainer import events_and_steps
from tests.tiny_concept import random_inverse_covariance


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    base_option(parser)
    parser.add_argument("--together", type=int, default=4, help="concepts in one batch")
    parser.add_argument("--steps", type=int, help="optimizer steps a concept; the preset's by default")
    parser.add_argument("--size", type=int, help="pixels; the base's own by default")
    parser.add_argument("--batch", type=int, help="examples a step; the preset's by default")
    parser.add_argument("--repeats", type=int, default=3)
    card_option(parser)
    options = parser.parse_args()
    limit_card(options.card_gb)
    base = base_from(options)
    chosen = {"resolution": options.size, "batch_size": options.batch, "steps": options.steps}
    settings = {name: value for name, value in chosen.items() if value}
    recipe = Recipe.preset(base.description, left_on_card(options.card_gb), **settings)
    recipe = recipe.changed(checkpoint_every=recipe.steps)
    pairs: list[tuple[Seconds, Seconds]] = []
    peaks = (0.0, 0.0)
    with tempfile.TemporaryDirectory() as folder:
        tasks = list(_tasks(options.together, recipe, Path(folder)))
        for repeat in range(options.repeats):
            one = _taught(base, tasks, 1)
            first = peak_mib(base.device)
            pairs.append((one, _taught(base, tasks, options.together)))
            peaks = (first, peak_mib(base.device)) if repeat == 0 else peaks
    rows = recipe.batch_size * recipe.accumulation
    print(f"{base.id} at {recipe.resolution} px, {recipe.steps} steps of {rows} examples, {machine()}")
    print(comparison(f"{options.together} one at a time", f"{options.together} in one batch", pairs))
    cuda = base.device.type == "cuda"
    spent = [[run.clock if cuda else run.cpu for run in pair] for pair in pairs]
    alone, shared = (options.together * 3600 / median(each) for each in zip(*spent, strict=True))
    print(f"concepts an hour          {alone:10.1f} one at a time, {shared:.1f} in one batch")
    print(f"peak memory               {peaks[0]:10.0f} MiB one at a time, {peaks[1]:.0f} MiB in one batch")


def _tasks(count: int, recipe: Recipe, folder: Path) -> Iterator[TrainingTask]:
    """Concepts of two made-up photos each, each with its own seed."""
    mask = np.ones((recipe.resolution, recipe.resolution), dtype=np.float32)
    for number in range(count):
        photos = _photos(recipe.resolution, number, folder)
        settings = recipe.changed(seed=number)
        yield TrainingTask(photos, [mask] * 2, f"thing{number}", "dog", settings, folder / str(number))


def _photos(side: int, seed: int, folder: Path) -> list[Photo]:
    rng = np.random.default_rng(seed)
    paths = [folder / f"{seed}-{number}.png" for number in range(2)]
    for path in paths:
        Image.fromarray(rng.integers(0, 255, (side, side, 3), dtype=np.uint8)).save(path)
    return load_photos(paths)


def _taught(base: Base, tasks: Sequence[TrainingTask], together: int) -> Seconds:
    """The time of all optimizer steps and of the last checkpoints."""
    courses = [_encoded(base, task) for task in tasks]
    begun = Seconds.now(base.device)
    for _ in interleaved(courses, together):
        pass
    return Seconds.now(base.device).since(begun)


def _encoded(base: Base, task: TrainingTask) -> Course[None]:
    """A run whose photos have been encoded."""
    covariance = CovarianceStats(random_inverse_covariance(base.description.text_width), "benchmark", 1.0)
    items = events_and_steps(base, task, covariance)
    steps = (item for item in items if isinstance(item, PendingStep))
    first = next(steps)

    def course() -> Course[None]:
        yield first
        yield from steps

    return course()


if __name__ == "__main__":
    main()
