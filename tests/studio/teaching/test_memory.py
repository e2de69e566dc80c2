"""What a teaching may take of a device: of what is free, and of what the weights leave."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from perfusion_core.fanout.loaded_base import BaseSetup
from perfusion_core.model import device_memory
from perfusion_core.model.base import Base
from perfusion_core.model.families.stable_diffusion import STABLE_DIFFUSION
from perfusion_core.studio import bases
from perfusion_core.studio.bases import LoadedBase
from perfusion_core.studio.library.library import Library
from perfusion_core.studio.settings import Settings
from perfusion_core.studio.teaching.run import TeachRequest, begin_teaching, teach
from perfusion_core.studio.teaching.run_folder import RunFolder
from perfusion_core.training import recipe as recipes
from perfusion_core.training.batch_size import fit

GIB = 2**30
# Of Stable Diffusion 1.5 as a graphics card has it: parameters and the precision they are kept in.
SIZES = {
    "unet": (860_000_000, torch.float16),
    "text_encoder": (123_000_000, torch.float32),
    "vae": (84_000_000, torch.float16),
}
WEIGHTS = (2 * 860e6 + 4 * 123e6 + 2 * 84e6) / GIB


class LargeBase:
    """A base of known weights that take no memory."""

    weights_gib = Base.weights_gib

    def __init__(self) -> None:
        self.device = torch.device("cuda")
        self.family = STABLE_DIFFUSION
        self.pipeline = SimpleNamespace(**{name: _part(*size) for name, size in SIZES.items()})


def _part(count: int, dtype: torch.dtype) -> torch.nn.Module:
    return torch.nn.Linear(1000, count // 1000, bias=False, device="meta", dtype=dtype)


@pytest.fixture
def free(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Called with the GiB that devices have free."""
    return lambda gib: monkeypatch.setattr(device_memory, "free_gib", lambda _device: gib)


@pytest.mark.parametrize(
    ("chosen", "batch"),
    [(6.0, (1, 16, False)), (8.0, (4, 4, False)), (12.0, (8, 2, False)), (24.0, (16, 1, False))],
)
def test_the_weights_are_taken_from_the_memory_that_was_chosen(
    settings: Settings, free: Any, chosen: float, batch: tuple[int, int, bool]
) -> None:
    free(80.0)
    room = LoadedBase(LargeBase(), replace(settings, memory=chosen)).training_gib()  # pyright: ignore[reportArgumentType]
    assert room == pytest.approx(chosen * 1e9 / GIB - WEIGHTS, abs=0.001)
    assert fit(room, 512, 16) == batch


@pytest.mark.parametrize(
    ("chosen", "gib", "room"),
    [
        (None, 3.0, 3.0),
        (24.0, 3.0, 3.0),  # another program has the rest
        (2.0, 80.0, 0.0),  # the weights alone are more
    ],
)
def test_never_more_than_is_free_nor_less_than_nothing(
    settings: Settings, free: Any, chosen: float | None, gib: float, room: float
) -> None:
    free(gib)
    loaded = LoadedBase(LargeBase(), replace(settings, memory=chosen))  # pyright: ignore[reportArgumentType]
    assert loaded.training_gib() == room


def test_workers_of_one_card_have_their_share_of_it_with_the_weights_in_it(
    tmp_path: Path, free: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    free(80.0)
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda _device: (20 * GIB, 24 * GIB))
    monkeypatch.setattr(bases.Bases, "get", lambda self, **_: LoadedBase(LargeBase(), self.settings))  # pyright: ignore
    shared: Any = SimpleNamespace(fingerprint=None, statistics=lambda: None)
    monkeypatch.setattr(LargeBase, "fingerprint", None, raising=False)
    loaded = BaseSetup("large", tmp_path, share=0.5, shared=shared).load()
    assert loaded.training_gib() == pytest.approx(12 - WEIGHTS, abs=0.001)


def test_what_is_left_reaches_the_recipe_of_a_large_base(
    library: Library, loaded: Any, photos: list[Path], free: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    free(3.2)
    monkeypatch.setattr(recipes, "SMALL_TEXT_WIDTH", 1)  # as if the tiny base were a Stable Diffusion
    loaded.settings = replace(loaded.settings, memory=24.0)
    asked = TeachRequest(
        photos=photos,
        name="rex",
        superclass="dog",
        settings={"steps": 1, "validation_steps": 1, "resolution": 512},
    )
    folder = begin_teaching(library, asked)
    teach(library, loaded, folder, should_stop=lambda: True)
    recipe = RunFolder(folder).recipe()
    assert recipe is not None
    assert (recipe.batch_size, recipe.accumulation, recipe.gradient_checkpointing) == (2, 8, True)
