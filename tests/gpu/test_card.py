"""What is claimed for graphics cards, each claim once, on architectures in full size with random weights.

Without a CUDA card every test is skipped by its claim. How fast things are, `benchmarks/` says and not these.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from benchmarks.card import left_on_card, lift_limit, limit_card
from benchmarks.subjects import random_base
from perfusion_core.concept import load_concept
from perfusion_core.model.base import Base, load_base
from perfusion_core.model.device_memory import free_gib, release_memory
from perfusion_core.model.statistics import covariance_for
from perfusion_core.studio.library.bundled import FOLDER
from tests.gpu import claims

BOOT = "a photo of a <trekker> on the beach"


@pytest.fixture(autouse=True)
def fresh_card() -> Iterator[None]:
    """Each test begins with what the tests before it gave back."""
    release_memory()
    yield
    lift_limit()


def sd15(dtype: torch.dtype = torch.float16) -> Base:
    return random_base("sd15-random", "cuda", dtype)


@pytest.mark.gpu("Stable Diffusion 1.5 teaching at 512 px", gb=6)
def test_stable_diffusion_is_taught_at_512_pixels(tmp_path: Path) -> None:
    base = sd15()
    recipe = claims.recipe_for(base, free_gib(base.device), steps=4)
    assert recipe.resolution == 512
    claims.is_taught(base, recipe, tmp_path)


@pytest.mark.gpu("SDXL teaching at 1024 px", gb=12)
def test_sdxl_is_taught_at_1024_pixels(tmp_path: Path) -> None:
    base = random_base("sdxl-random", "cuda", torch.float16)
    recipe = claims.recipe_for(base, free_gib(base.device), steps=2)
    assert recipe.resolution == 1024
    claims.is_taught(base, recipe, tmp_path)


@pytest.mark.parametrize(
    ("name", "gb"),
    [
        pytest.param(name, gb, marks=pytest.mark.gpu(f"{title} teaching within {gb} GB", gb=gb))
        for name, title, sizes in (
            ("sd15-random", "Stable Diffusion 1.5", (6, 8, 12, 24)),
            ("sdxl-random", "SDXL", (12, 24)),  # its weights alone are 8.7 GB
        )
        for gb in sizes
    ],
)
def test_the_preset_for_a_card_fits_that_card(name: str, gb: int, tmp_path: Path) -> None:
    limit_card(gb)
    base = random_base(name, "cuda", torch.float16)
    recipe = claims.recipe_for(base, left_on_card(gb), steps=1)
    events = claims.events_of(base, recipe, tmp_path)  # TrainingError where it does not fit
    assert events[-1].kind == "done"


@pytest.mark.gpu("three concepts act in one image, and leave no bit behind", gb=6)
def test_concepts_act_and_leave_no_bit_behind() -> None:
    claims.concepts_act_and_leave(sd15(), 512)


@pytest.mark.gpu("a teaching that was stopped goes on", gb=6)
def test_a_stopped_teaching_goes_on(tmp_path: Path) -> None:
    base = sd15()
    claims.goes_on(base, claims.recipe_for(base, free_gib(base.device), steps=3), tmp_path)


@pytest.mark.parametrize(
    "dtype",
    [
        pytest.param(dtype, marks=pytest.mark.gpu(f"teaching and images are finite in {words}", gb=6))
        for dtype, words in ((torch.bfloat16, "bfloat16"), (torch.float16, "float16"))
    ],
)
def test_half_precision_is_finite(dtype: torch.dtype, tmp_path: Path) -> None:
    base = sd15(dtype)
    recipe = claims.recipe_for(base, free_gib(base.device), steps=4, precision=str(dtype).split(".")[1])
    claims.is_taught(base, recipe, tmp_path)


@pytest.mark.gpu("the bundled model's images on the card are those on the CPU")
def test_an_image_of_the_card_is_close_to_one_of_the_cpu() -> None:
    bases = load_base(device="cuda", dtype="float32"), load_base(device="cpu", dtype="float32")
    concept, stats = load_concept(FOLDER / "trekker.safetensors"), covariance_for(bases[1].pipeline)
    with torch.backends.cudnn.flags(enabled=True, allow_tf32=False):
        assert claims.difference(bases, concept, BOOT, stats) < 0.1  # bfloat16: 0.4


@pytest.mark.gpu("every gate bias of a front has its own image on the card")
def test_every_gate_bias_has_its_own_image() -> None:
    base = load_base(device="cuda")
    concept, stats = load_concept(FOLDER / "trekker.safetensors"), covariance_for(base.pipeline)
    claims.every_gate_has_its_image(base, concept, BOOT, stats)
