"""The comparison on the tiny base, with a scorer that sees colours."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from benchmarks.rivals.bench import Bench
from benchmarks.rivals.cache import Cache
from benchmarks.rivals.subject import Subject, read_subjects
from perfusion_core.model.statistics import CovarianceStats
from perfusion_core.studio.bases import LoadedBase, Missing
from perfusion_core.studio.settings import Settings


class ColourScorer:
    """Features are the colours of a 2x2 thumbnail; a text's are numbers drawn for its letters."""

    name = "colours"

    def image_features(self, images: list[Image.Image]) -> torch.Tensor:
        small = [np.asarray(image.convert("RGB").resize((2, 2), Image.Resampling.BOX)) for image in images]
        features = torch.from_numpy(np.stack(small)).flatten(1).float() / 255 - 0.5
        return torch.nn.functional.normalize(features + 1e-3, dim=-1)

    def text_features(self, texts: list[str]) -> torch.Tensor:
        drawn = [torch.randn(12, generator=torch.Generator().manual_seed(sum(map(ord, t)))) for t in texts]
        return torch.nn.functional.normalize(torch.stack(drawn), dim=-1)


def disc(colour: tuple[int, int, int], place: int) -> bytes:
    """A PNG of 64x64: a disc on a plain ground."""
    y, x = np.mgrid[0:64, 0:64]
    pixels = np.full((64, 64, 3), 30 * place, dtype=np.uint8)
    pixels[(x - 20 - 6 * place) ** 2 + (y - 32) ** 2 < 200] = colour
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()


@pytest.fixture
def concepts(tmp_path: Path) -> Path:
    """A folder of four concepts, two of one kind, with four photos each."""
    folder = tmp_path / "concepts"
    kinds = {"amber": "dog", "blue-cup": "cup", "coral": "dog", "denim": "ball"}
    for number, (name, kind) in enumerate(kinds.items()):
        (folder / name).mkdir(parents=True)
        colour = [(240, 120, 10), (20, 40, 230), (230, 60, 90), (40, 90, 140)][number]
        for place in range(4):
            (folder / name / f"{place}.png").write_bytes(disc(colour, place))
        (folder / name / "about.json").write_text(json.dumps({"name": name, "superclass": kind}))
    return folder


@pytest.fixture
def subjects(concepts: Path) -> list[Subject]:
    return read_subjects(concepts, held_out=2)


@pytest.fixture
def loaded(tiny_base: Any, tiny_covariance: torch.Tensor, tmp_path: Path) -> LoadedBase:
    found = LoadedBase(tiny_base, Settings(home=tmp_path / "home"))
    found.__dict__["covariance"] = CovarianceStats(tiny_covariance, "tiny", 1.0)
    found.__dict__["scorer"] = ColourScorer()
    found.__dict__["segmenter"] = Missing("none in this test")
    return found


@pytest.fixture
def bench(loaded: LoadedBase, tmp_path: Path) -> Bench:
    return Bench(loaded, Cache(tmp_path / "cache"), steps=2, snapshots=2)


@pytest.fixture
def fingerprint() -> Callable[[Any], list[Any]]:
    """Everything of a base that a method could leave changed."""

    def of(base: Any) -> list[Any]:
        pipe = base.pipeline
        weights = {
            f"{part}.{name}": value.clone()
            for part in ("unet", "text_encoder", "vae")
            for name, value in getattr(pipe, part).state_dict().items()
        }
        learning = [name for name, p in pipe.unet.named_parameters() if p.requires_grad]
        learning += [name for name, p in pipe.text_encoder.named_parameters() if p.requires_grad]
        rest = [
            repr(pipe.unet),
            repr(pipe.text_encoder),
            len(pipe.tokenizer),
            pipe.text_encoder.config.vocab_size,
        ]
        rest += [pipe.tokenizer("a photo of a <amber> dog").input_ids, learning, base.unet.training]
        rest += [type(p).__name__ for p in pipe.unet.attn_processors.values()]
        return [weights, rest]

    return of
