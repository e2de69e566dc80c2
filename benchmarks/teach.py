"""An optimizer step of teaching against a plain forward and backward of the same denoiser, in turn.

`python -m benchmarks.teach`; on a graphics card: `python -m benchmarks.teach --base sd15-random --size 512`,
`python -m benchmarks.teach --base sdxl-random --card-gb 12`.
Peak memory is the process's on a CPU, loading included, and torch's own count on CUDA. --card-gb holds for
loading and teaching until the peak is taken; plain steps, which need more, get the whole card.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from benchmarks.card import card_option, left_on_card, lift_limit, limit_card
from benchmarks.subjects import base_from, base_option, machine
from benchmarks.timing import Seconds, comparison, peak_mib
from perfusion_core.model.base import Base
from perfusion_core.model.predict import TextInputs, predict
from perfusion_core.model.statistics import CovarianceStats
from perfusion_core.training.memory import autocast, checkpointed
from perfusion_core.training.photos import load_photos
from perfusion_core.training.recipe import Recipe
from perfusion_core.training.trainer import train
from tests.tiny_concept import random_inverse_covariance


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    base_option(parser)
    parser.add_argument("--steps", type=int, default=8, help="counted steps")
    parser.add_argument("--size", type=int, help="pixels; the base's own by default")
    parser.add_argument("--batch", type=int, help="examples a step; the preset's by default")
    parser.add_argument("--memory", type=float, help="GiB beside the weights, for the preset")
    card_option(parser)
    options = parser.parse_args()
    limit_card(options.card_gb)
    base = base_from(options)
    chosen = {"resolution": options.size, "batch_size": options.batch}
    recipe = Recipe.preset(
        base.description,
        options.memory or left_on_card(options.card_gb),
        steps=options.steps + 2,
        checkpoint_every=10_000,
        **{name: value for name, value in chosen.items() if value},
    )
    with tempfile.TemporaryDirectory() as folder:
        steps = _steps(base, recipe, Path(folder))
        next(steps), next(steps)  # to warm up
        peak = peak_mib(base.device)  # before the plain steps, which need more
        lift_limit()
        pairs: list[tuple[Seconds, Seconds]] = []
        for _ in range(options.steps):
            begun = Seconds.now(base.device)
            next(steps)
            taught = Seconds.now(base.device).since(begun)
            pairs.append((plain_step(base, recipe), taught))
    print(f"{base.id} at {recipe.resolution} px, {recipe.batch_size} x {recipe.accumulation}, {machine()}")
    print(comparison("plain forward + backward", "step of teaching", pairs))
    print("(plain: all weights of the denoiser get gradients)")
    print(f"peak memory of teaching   {peak:10.0f} MiB")


def _steps(base: Base, recipe: Recipe, folder: Path) -> Iterator[int]:
    """The number of each finished optimizer step, of a real teaching on made-up photos."""
    rng = np.random.default_rng(0)
    for number in range(2):
        image = rng.integers(0, 255, (recipe.resolution, recipe.resolution, 3), dtype=np.uint8)
        Image.fromarray(image).save(folder / f"{number}.png")
    photos = load_photos(sorted(folder.glob("*.png")))
    masks = [np.ones((recipe.resolution, recipe.resolution), dtype=np.float32)] * len(photos)
    width = base.description.text_width
    covariance = CovarianceStats(random_inverse_covariance(width), "benchmark", 1.0)
    events = train(
        base, photos, masks, "biscuit", "dog", recipe, covariance=covariance, run_dir=folder / "run"
    )
    for event in events:
        if event.kind == "step":
            yield event.step


def plain_step(base: Base, recipe: Recipe) -> Seconds:
    """The time of as many forwards and backwards as a step has, every weight of the denoiser learning."""
    facts, count = base.description, recipe.batch_size
    side = recipe.resolution // facts.vae_factor
    noisy = torch.randn((count, facts.latent_channels, side, side), device=base.device, dtype=base.dtype)
    times = torch.full((count,), 0.5 * base.family.flow_time(base.pipeline), device=base.device)
    with torch.no_grad():
        prompts = base.prompts.encode(["a photo of a dog"] * count, {}, superclass=False)
    text = TextInputs(prompts.given.to(base.denoiser.dtype), prompts.mask, prompts.pooled)
    base.denoiser.requires_grad_(True)
    try:
        with checkpointed(base, recipe):
            begun = Seconds.now(base.device)
            for _ in range(recipe.accumulation):
                with autocast(base, recipe):
                    predicted = predict(base, noisy, times, text)
                predicted.float().square().mean().backward()
            return Seconds.now(base.device).since(begun)
    finally:
        base.denoiser.requires_grad_(False)
        for weight in base.denoiser.parameters():
            weight.grad = None


if __name__ == "__main__":
    main()
