"""What the denoiser is told while teaching is what its stock pipeline tells it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from perfusion_core.model.base import Base
from perfusion_core.model.statistics import CovarianceStats
from perfusion_core.training.photos import Photo
from perfusion_core.training.recipe import Recipe
from perfusion_core.training.step import PendingStep, gather_gradients
from perfusion_core.training.task import TrainingTask
from perfusion_core.training.trainer import events_and_steps
from tests.quick_recipe import WORD_AND_VALUES
from tests.tiny_concept import random_inverse_covariance
from tests.tiny_families import PIPELINES, pixart_alpha_pipeline, plain_options, tiny_family

HEIGHT, WIDTH = 64, 32
TEMPLATES = ("a photo of a {}", "my {}")
TOLD_OF_SIZE = "pixart-alpha of 1024 pixels"
NOISE = {"hidden_states", "sample", "timestep"}  # the rest is what is told beside it
EXPECTED = {
    "sd": {"encoder_hidden_states"},
    "sdxl": {"encoder_hidden_states", "text_embeds", "time_ids"},
    "kolors": {"encoder_hidden_states", "text_embeds", "time_ids"},
    "pixart-alpha": {"encoder_hidden_states", "encoder_attention_mask"},
    "pixart-sigma": {"encoder_hidden_states", "encoder_attention_mask"},
    TOLD_OF_SIZE: {"encoder_hidden_states", "encoder_attention_mask", "resolution", "aspect_ratio"},
    "sana": {"encoder_hidden_states", "encoder_attention_mask"},
    "sana-sprint": {"encoder_hidden_states", "encoder_attention_mask", "guidance"},
    "cosmos": {"encoder_hidden_states", "padding_mask"},
}


def told(denoiser: Any, call: Callable[[], Any]) -> dict[str, torch.Tensor]:
    """The tensors that the denoiser's first call was given beside noisy latents and time, by their names."""
    calls: list[dict[str, Any]] = []
    handle = denoiser.register_forward_pre_hook(lambda _m, _a, named: calls.append(named), with_kwargs=True)
    call()
    handle.remove()
    named = {name: value for name, value in calls[0].items() if name not in NOISE}
    named |= named.pop("added_cond_kwargs", None) or {}
    return {name: value.detach() for name, value in named.items() if isinstance(value, torch.Tensor)}


def pending_step(base: Base, photos: list[Photo], folder: Path, checkpointing: bool = False) -> PendingStep:
    """The first step of a teaching, its word still the superclass's, on images that are not square."""
    recipe = Recipe.preset(
        base.description,
        **WORD_AND_VALUES,
        steps=1,
        batch_size=2,
        accumulation=1,
        gradient_checkpointing=checkpointing,
        resolution=64,
        templates=TEMPLATES,
    )
    masks = [np.ones((64, 64), dtype=np.float32)]
    covariance = CovarianceStats(random_inverse_covariance(base.description.text_width), "tiny", 1.0)
    task = TrainingTask(photos, masks, "biscuit", "dog", recipe, folder)
    steps = (found for found in events_and_steps(base, task, covariance) if isinstance(found, PendingStep))
    step = next(steps)
    factor = base.description.vae_factor
    cut: Any = (..., slice(HEIGHT // factor), slice(WIDTH // factor))
    batch = step.batch
    step.batch = replace(batch, latents=batch.latents[cut], noise=batch.noise[cut], masks=batch.masks[cut])
    return step


@pytest.mark.parametrize("kind", [*PIPELINES, TOLD_OF_SIZE])
def test_while_teaching_the_denoiser_is_told_what_its_pipeline_tells_it(
    kind: str, make_images: Callable[[int], list[Photo]], tmp_path: Path
) -> None:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        pipe = pixart_alpha_pipeline(128) if kind == TOLD_OF_SIZE else tiny_family(kind)
    base = Base(kind, pipe)
    step = pending_step(base, make_images(1), tmp_path / "run")
    found = told(base.denoiser, lambda: gather_gradients([step]))
    assert step.failure is None

    prompts = [step.batch.prompts[row].replace("<biscuit>", "dog") for row in step.batch.rows]
    assert len(set(prompts)) == 2
    options = {**plain_options(kind), "width": WIDTH, "height": HEIGHT}
    if not base.family.guidance_in_denoiser:
        options["guidance_scale"] = 1.0  # else negative prompts would stand beside them
    pipe.set_progress_bar_config(disable=True)
    stock = told(base.denoiser, lambda: pipe(prompts, **options))
    assert set(stock) == EXPECTED[kind]
    assert set(found) == EXPECTED[kind]
    for name, expected in stock.items():
        torch.testing.assert_close(found[name], expected, msg=lambda words, name=name: f"{name}: {words}")
