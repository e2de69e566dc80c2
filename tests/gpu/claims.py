"""What is claimed of a base on a graphics card, as checks that run on a base on any device."""

from __future__ import annotations

import hashlib
from itertools import pairwise
from math import isfinite
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from perfusion_core.concept import Concept, load_concept, save_concept
from perfusion_core.model.applied import applied
from perfusion_core.model.base import Base
from perfusion_core.model.statistics import CovarianceStats
from perfusion_core.sampling.generator import front, generate
from perfusion_core.sampling.request import GenerationRequest
from perfusion_core.training.events import TrainEvent
from perfusion_core.training.photos import load_photos
from perfusion_core.training.recipe import Recipe
from perfusion_core.training.trainer import train
from tests.tiny_concept import random_concept, random_inverse_covariance

NAMES = {"first": "dog", "second": "cat", "third": "ball"}
PLAIN = "a photo of a dog next to a cat and a ball"
TAUGHT = "a photo of a <first> next to a <second> and a <third>"


def statistics(base: Base) -> CovarianceStats:
    return CovarianceStats(random_inverse_covariance(base.description.text_width), "tests", 1.0)


def recipe_for(base: Base, memory: float | None = None, **settings: Any) -> Recipe:
    """The preset of this base for so many GiB beside its weights, with one checkpoint at each end."""
    return Recipe.preset(base.description, memory, **{"checkpoint_every": 1000, **settings})


def events_of(base: Base, recipe: Recipe, folder: Path, **options: Any) -> list[TrainEvent]:
    """A teaching on two made-up photos of the recipe's size."""
    folder.mkdir(exist_ok=True)
    rng = np.random.default_rng(0)
    side = recipe.resolution
    for number in range(2):
        pixels = rng.integers(0, 255, (side, side, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / f"{number}.png")
    photos = load_photos(sorted(folder.glob("*.png")))
    masks = [np.ones((side, side), dtype=np.float32)] * 2
    told = {"covariance": statistics(base), "run_dir": folder / "run", **options}
    return list(train(base, photos, masks, "biscuit", "dog", recipe, **told))


def is_taught(base: Base, recipe: Recipe, folder: Path) -> None:
    """All that learns moves and stays finite, nothing else moves, and the saved file is drawn with."""
    before = _digest(base)
    events = events_of(base, recipe, folder)
    losses = [event.loss for event in events if event.kind == "step"]
    assert len(losses) == recipe.steps
    assert all(loss is not None and isfinite(loss) and loss > 0 for loss in losses)
    start = next(event.concept for event in events if event.kind == "checkpoint")
    concept = events[-1].concept
    assert start is not None
    assert concept is not None
    pairs = [(start.values[path], value) for path, value in concept.values.items()]
    pairs += [(start.embeddings[part], word) for part, word in concept.embeddings.items()]
    assert all(bool(torch.isfinite(now).all()) and not torch.equal(then, now) for then, now in pairs)
    assert _digest(base) == before
    save_concept(concept, folder / "biscuit.safetensors")
    again = load_concept(folder / "biscuit.safetensors")
    assert again.content_hash == concept.content_hash
    side = recipe.resolution
    request = GenerationRequest("a photo of a <biscuit>", steps=2, width=side, height=side)
    made = generate(base, {"biscuit": again}, request, covariance=statistics(base))
    assert [one.image.size for one in made.images] == [(side, side)]


def goes_on(base: Base, recipe: Recipe, folder: Path) -> None:
    """A teaching that was stopped goes on from there to its end."""
    asked = iter([False] * (recipe.steps - 1) + [True])
    stopped = events_of(base, recipe, folder, should_stop=lambda: next(asked))
    assert stopped[-1].kind == "stopped"
    assert stopped[-1].history is not None
    resumed = events_of(base, recipe, folder, resume=True)
    assert resumed[0].history == stopped[-1].history
    assert [event.step for event in resumed if event.kind == "step"] == [recipe.steps]
    assert resumed[-1].kind == "done"
    assert isfinite(resumed[-1].loss or 0.0)


def concepts_act_and_leave(base: Base, size: int) -> None:
    """Three concepts change the image; afterwards it and every weight are as before, to the bit."""
    concepts = [random_concept(base, name, word, k) for k, (name, word) in enumerate(NAMES.items())]
    inverse = random_inverse_covariance(base.description.text_width)
    weights, plain = _digest(base), _latents(base, PLAIN, size)
    with applied(base.pipeline, concepts, inverse_covariance=inverse):
        together = _latents(base, TAUGHT, size, enter=False)
        without = [
            _latents(base, TAUGHT.replace(f"<{name}>", word), size, enter=False)
            for name, word in NAMES.items()
        ]
    assert all(bool(torch.isfinite(one).all()) for one in (plain, together, *without))
    assert not torch.allclose(together, plain, atol=1e-2)
    assert not any(torch.allclose(together, one, atol=1e-3) for one in without)
    assert _digest(base) == weights
    assert "Edited" not in repr(base.denoiser)
    assert torch.equal(_latents(base, PLAIN, size), plain)


def every_gate_has_its_image(base: Base, concept: Concept, prompt: str, stats: CovarianceStats) -> None:
    """Images of several gate biases in one batch differ each from the next."""
    request, biases = GenerationRequest(prompt, steps=4), (1.3, 0.9, 0.7, 0.4)
    made = front(base, {concept.name: concept}, request, concept.name, biases, covariance=stats).images
    pixels = [np.asarray(one.image, dtype=np.float64) for one in made]
    assert len(pixels) == len(biases)
    assert all(np.abs(one - other).mean() > 0.1 for one, other in pairwise(pixels))


def difference(bases: tuple[Base, Base], concept: Concept, prompt: str, stats: CovarianceStats) -> float:
    """Mean difference of two bases' images of a prompt with a concept, in levels of 255."""
    request = GenerationRequest(prompt, steps=8)
    one, other = (
        generate(base, {concept.name: concept}, request, covariance=stats).images[0].image for base in bases
    )
    return float(np.abs(np.asarray(one, dtype=np.float64) - np.asarray(other, dtype=np.float64)).mean())


def _latents(base: Base, prompt: str, size: int, enter: bool = True) -> torch.Tensor:
    pipe: Any = base.pipeline
    told = {"num_inference_steps": 2, "height": size, "width": size, "output_type": "latent"}
    if not enter:
        return pipe(prompt, generator=torch.Generator().manual_seed(0), **told).images
    with applied(pipe, []):  # no edit; lets encoder and denoiser differ in precision
        return pipe(prompt, generator=torch.Generator().manual_seed(0), **told).images


def _digest(base: Base) -> str:
    """A hash of every bit of every weight."""
    found = hashlib.blake2b()
    modules = [module for module in base.pipeline.components.values() if isinstance(module, torch.nn.Module)]
    for weight in (weight for module in modules for weight in module.parameters()):
        found.update(weight.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().data)
    return found.hexdigest()
