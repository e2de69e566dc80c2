"""A studio on the tiny base, with a scorer and a segmenter simple enough to be predicted."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image, ImageDraw

from perfusion_core.model.statistics import CovarianceStats
from perfusion_core.studio.bases import LoadedBase
from perfusion_core.studio.library.library import Library
from perfusion_core.studio.settings import Settings


class PixelScorer:
    """Image features are coarse pixels; a text's are fixed by its letters."""

    name = "coarse pixels"

    def image_features(self, images: list[Image.Image]) -> torch.Tensor:
        small = [np.asarray(i.convert("L").resize((4, 4)), dtype=np.float32).ravel() for i in images]
        return torch.nn.functional.normalize(torch.from_numpy(np.stack(small)) + 1.0, dim=1)

    def text_features(self, texts: list[str]) -> torch.Tensor:
        rows = [torch.rand(16, generator=torch.Generator().manual_seed(sum(map(ord, t)))) for t in texts]
        return torch.nn.functional.normalize(torch.stack(rows), dim=1)


class MiddleSegmenter:
    """Sees the subject in the middle half of every image."""

    def soft_masks(self, images: list[Image.Image], superclass: str) -> list[np.ndarray]:
        masks = []
        for image in images:
            mask = np.zeros((image.height, image.width), dtype=np.float32)
            mask[image.height // 4 : 3 * image.height // 4, image.width // 4 : 3 * image.width // 4] = 1
            masks.append(mask)
        return masks


@pytest.fixture
def settings(tmp_path: Path, tiny_folder: Path) -> Settings:
    return Settings(home=tmp_path / "home", base=str(tiny_folder), outputs=tmp_path / "outputs", device="cpu")


@pytest.fixture
def library(settings: Settings) -> Library:
    return Library(settings.home)


@pytest.fixture
def loaded(tiny_base: Any, tiny_covariance: torch.Tensor, settings: Settings) -> LoadedBase:
    base = LoadedBase(tiny_base, settings)
    base.__dict__["covariance"] = CovarianceStats(tiny_covariance, "tiny", 1.0)
    base.__dict__["scorer"] = PixelScorer()
    base.__dict__["segmenter"] = MiddleSegmenter()
    return base


@pytest.fixture
def photos(tmp_path: Path) -> list[Path]:
    paths = []
    for k, colour in enumerate(("brown", "orange")):
        image = Image.new("RGB", (96, 80), "lightblue")
        ImageDraw.Draw(image).ellipse((24, 20, 72 + k, 60), fill=colour)
        paths.append(tmp_path / f"photo {k}.png")
        image.save(paths[-1])
    return paths
