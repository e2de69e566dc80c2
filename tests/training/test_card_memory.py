"""Bases in full size on a card, computed from shapes by `benchmarks.teach_memory`: no card is needed."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch.autograd.graph import saved_tensors_hooks

from benchmarks.peak import Peak
from benchmarks.teach_memory import coding_of, kept_of, text_of, weights_of
from perfusion_core.model.autoencoder import has_room
from perfusion_core.model.base import Base
from perfusion_core.model.families.registry import FAMILIES, family_called
from perfusion_core.model.families.sdxl import SDXL
from perfusion_core.training.batch_size import peak_of
from perfusion_core.training.photos import Photo
from perfusion_core.training.recipe import Recipe
from tests.tiny_families import tiny_family
from tests.training.test_conditioning import pending_step

COMPUTED = ["stable-diffusion", "sdxl", "kolors", "pixart", "sana", "cosmos"]
CARD = 12e9 / 2**30  # GiB of a card of 12 GB, with fewer of them than most have
RESERVE = 1.0  # GiB for the scorer, the segmenter and what fragmentation loses


def test_the_peak_is_what_is_alive_at_one_time() -> None:
    with Peak() as peak:
        first = torch.empty(1000, device="meta")
        second = first + 1
        third = second.view(10, 100).add_(1)  # no memory of its own
        del second
        assert peak.most == 8_000
        del first, third
        torch.empty(1500, device="meta")
    assert peak.most == 8_000


@pytest.mark.parametrize("name", COMPUTED)
def test_what_families_say_of_memory_is_what_is_computed(name: str) -> None:
    family = family_called(name)
    if family.kept is not None:
        assert family.kept == pytest.approx(kept_of(name), abs=0.005)
    to_1024 = 2**2 if name == "stable-diffusion" else 1  # which makes images of 512 pixels
    for said, dtype in zip(family.coding, (torch.float32, torch.bfloat16), strict=True):
        assert said == pytest.approx(to_1024 * coding_of(name, dtype=dtype).most, abs=0.01)
    assert [each.coding for each in FAMILIES if each.name == "sana-sprint"] == [family_called("sana").coding]


def test_sdxl_is_taught_at_1024_pixels_on_a_card_of_12_gb() -> None:
    weights = weights_of("sdxl").all
    facts: Any = SimpleNamespace(family=SDXL, text_width=2048, image_size=1024, few_steps=None)
    recipe = Recipe.preset(facts, CARD - weights)
    assert recipe.gradient_checkpointing
    steps = peak_of(recipe.batch_size * kept_of("sdxl")[1])
    whole, tiled = coding_of("sdxl"), coding_of("sdxl", tiles=True)
    assert weights + whole.most + RESERVE > CARD  # so it takes tiles
    assert not has_room(SDXL, 1024, torch.float32, CARD - weights)
    assert weights + max(steps, peak_of(text_of("sdxl")), tiled.most) + RESERVE <= CARD
    # All prompts of a step at once would not fit beside its denoiser.
    assert weights + steps + text_of("sdxl", prompts=len(recipe.templates)) + RESERVE > CARD


def test_a_step_with_checkpointing_keeps_little_of_the_text_encoders(
    make_images: Callable[[int], list[Photo]], tmp_path: Path
) -> None:
    def kept(checkpointing: bool) -> int:
        base = Base("sdxl", tiny_family("sdxl"))
        found: dict[int, int] = {}

        def keep(tensor: torch.Tensor) -> torch.Tensor:
            found[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
            return tensor

        with saved_tensors_hooks(keep, lambda tensor: tensor):
            pending_step(base, make_images(1), tmp_path / str(checkpointing), checkpointing)
        return sum(found.values())

    assert kept(True) < kept(False) / 5
