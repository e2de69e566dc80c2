"""A small teaching on the tiny base, with every part a test may want to change."""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from perfusion_core.training.events import TrainEvent
from perfusion_core.training.photos import Photo, load_photos
from perfusion_core.training.recipe import Recipe
from perfusion_core.training.task import TrainingTask
from perfusion_core.training.trainer import train
from tests.quick_recipe import WORD_AND_VALUES


@dataclass
class Statistics:
    """What the trainer needs of a base's statistics."""

    inverse: torch.Tensor
    fingerprint: str = "tiny"
    condition: float = 1.0


@dataclass
class FixedScores:
    image: float
    text: float


@dataclass
class TrainingSetup:
    """`setup.run(...)` trains and returns all events."""

    base: Any
    statistics: Statistics
    photos: list[Photo]
    masks: list[Any]
    recipe: Recipe
    folder: Path
    options: dict[str, Any] = field(default_factory=dict[str, Any])

    def events(self, **options: Any) -> Any:
        settings: dict[str, Any] = {"recipe": self.recipe, "run_dir": self.folder, **self.options, **options}
        recipe = settings.pop("recipe")
        return train(
            self.base,
            self.photos,
            self.masks,
            "Biscuit",
            "dog",
            recipe,
            covariance=self.statistics,
            **settings,
        )

    def run(self, **options: Any) -> list[TrainEvent]:
        return list(self.events(**options))

    def learn(self, **options: Any) -> Any:
        """The concept that is chosen."""
        return self.run(**options)[-1].concept


def images(count: int) -> list[Photo]:
    """Bright discs, each elsewhere, on plain grounds."""
    files: list[tuple[str, bytes]] = []
    y, x = np.mgrid[0:64, 0:64]
    for k in range(count):
        inside = (x - 24 - 8 * k) ** 2 + (y - 32) ** 2 < 200
        pixels = np.full((64, 64, 3), 40 * k, dtype=np.uint8)
        pixels[inside] = (240, 120, 10)
        buffer = io.BytesIO()
        Image.fromarray(pixels).save(buffer, "PNG")
        files.append((f"{k}.png", buffer.getvalue()))
    return load_photos(files)


@pytest.fixture
def setup(tiny_base: Any, tiny_covariance: torch.Tensor, tmp_path: Path) -> TrainingSetup:
    photos = images(2)
    recipe = Recipe.preset(
        tiny_base.description,
        **WORD_AND_VALUES,
        steps=6,
        batch_size=4,
        checkpoint_every=3,
        templates=("a photo of a {}", "a picture of the {}", "my {}"),
        validation_prompts=("a photo of {}",),
    )
    masks = [np.ones((64, 64), dtype=np.float32)] * 2
    return TrainingSetup(tiny_base, Statistics(tiny_covariance), photos, masks, recipe, tmp_path / "run")


@pytest.fixture
def make_images() -> Callable[[int], list[Photo]]:
    return images


@pytest.fixture
def fixed_scores() -> Callable[[float, float], FixedScores]:
    return FixedScores


def whole(count: int) -> list[Any]:
    """Masks of whole photos."""
    return [np.ones((64, 64), dtype=np.float32)] * count


@pytest.fixture
def tasks(setup: Any, make_images: Callable[[int], list[Any]]) -> list[TrainingTask]:
    """Runs that differ in photos, steps, batches, rates, gates, keys and seeds; two have one name."""
    photos, folder, recipe = make_images(4), setup.folder, setup.recipe
    slow = recipe.changed(steps=9, batch_size=3, value_rate=0.01, embedding_rate=0.002, seed=2, clarity=0.0)
    keys = recipe.changed(steps=7, batch_size=2, accumulation=2, keys="trained", seed=3)
    gates = recipe.changed(batch_size=5, bias=0.4, removal="paper", offset_rate=0.05, seed=4)
    return [
        TrainingTask(photos[:2], whole(2), "biscuit", "dog", recipe.changed(seed=1), folder / "0"),
        TrainingTask(photos[2:3], whole(1), "mug", "cup", slow, folder / "1"),
        TrainingTask(photos[1:], whole(3), "biscuit", "cat", keys, folder / "2"),
        TrainingTask(photos, whole(4), "rex", "dog", gates, folder / "3"),
    ]
