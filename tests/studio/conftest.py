"""A studio on the tiny base, with a scorer and a segmenter that can be predicted."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image, ImageDraw

from perfusion_core.model.statistics import CovarianceStats
from perfusion_core.studio.bases import LoadedBase
from perfusion_core.studio.library.library import Library
from perfusion_core.studio.settings import Settings
from tests.predictable_models import MiddleSegmenter, PixelScorer


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
