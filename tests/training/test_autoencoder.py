"""Autoencoders whose numbers do not fit into float16 stay in float32, while drawing and while teaching."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from perfusion_core.model.base import Base
from perfusion_core.model.latents import latents_of, pixels_of
from perfusion_core.model.statistics import CovarianceStats
from perfusion_core.sampling.generator import generate
from perfusion_core.sampling.request import GenerationRequest
from perfusion_core.training.photos import Photo
from perfusion_core.training.recipe import Recipe
from perfusion_core.training.trainer import train
from tests.quick_recipe import WORD_AND_VALUES
from tests.tiny_concept import random_inverse_covariance
from tests.tiny_families import PIPELINES, tiny_family

CONFIGURED, ALWAYS = ("sdxl", "pixart-alpha", "pixart-sigma"), ("sana", "sana-sprint", "cosmos")


def loaded(kind: str, dtype: torch.dtype, *, forced: bool = True, overflowing: bool = False) -> Base:
    pipe = tiny_family(kind)
    if kind in CONFIGURED:
        pipe.vae.register_to_config(force_upcast=forced)
    if overflowing:  # as SDXL's does: weights that fit, and what they make does not until it is normalised
        pipe.vae.decoder.conv_in.weight.data.mul_(2e4)
        pipe.vae.encoder.conv_in.weight.data.mul_(2e5)
    return Base(kind, pipe, dtype=dtype)


@pytest.mark.parametrize("forced", [True, False])
@pytest.mark.parametrize("kind", CONFIGURED)
def test_in_float16_the_configuration_says_whether_the_autoencoder_stays_in_float32(
    kind: str, forced: bool
) -> None:
    base = loaded(kind, torch.float16, forced=forced)
    assert base.denoiser.dtype == torch.float16
    assert base.vae.dtype == (torch.float32 if forced else torch.float16)


@pytest.mark.parametrize("kind", ALWAYS)
def test_in_float16_some_autoencoders_always_stay_in_float32(kind: str) -> None:
    base = loaded(kind, torch.float16)
    assert (base.denoiser.dtype, base.vae.dtype) == (torch.float16, torch.float32)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32])
@pytest.mark.parametrize("kind", list(PIPELINES))
def test_in_precisions_of_a_wider_range_the_autoencoder_is_as_the_denoiser(
    kind: str, dtype: torch.dtype
) -> None:
    base = loaded(kind, dtype)
    assert base.denoiser.dtype == base.vae.dtype == dtype


def test_an_autoencoder_that_overflows_float16_teaches_and_draws(
    make_images: Callable[[int], list[Photo]], tmp_path: Path
) -> None:
    pixels = torch.rand(1, 3, 64, 64, generator=torch.Generator().manual_seed(0)) * 2 - 1
    latents = torch.randn(1, 4, 8, 8, generator=torch.Generator().manual_seed(1))
    small = loaded("sdxl", torch.float16, forced=False, overflowing=True).vae
    with torch.no_grad():  # else the rest would show nothing
        assert not latents_of(small, pixels).isfinite().all()
        assert not pixels_of(small, latents).isfinite().all()

    base = loaded("sdxl", torch.float16, overflowing=True)
    covariance: Any = CovarianceStats(random_inverse_covariance(base.description.text_width), "tiny", 1.0)
    recipe = Recipe.preset(
        base.description, **WORD_AND_VALUES, steps=2, batch_size=1, accumulation=2,
        templates=("a photo of a {}",), validation_prompts=("a photo of {}",),
    )  # fmt: skip
    masks = [np.ones((64, 64), dtype=np.float32)]
    events = list(
        train(base, make_images(1), masks, "biscuit", "dog", recipe, covariance=covariance, run_dir=tmp_path)
    )
    losses = [event.loss for event in events if event.loss is not None]
    assert losses
    assert np.isfinite(losses).all()
    assert base.vae.dtype == torch.float32
    request = GenerationRequest("a photo of a <biscuit>", steps=2, width=64, height=64)
    made = generate(base, {"biscuit": events[-1].concept}, request, covariance=covariance)
    assert np.asarray(made.images[0].image).std() > 1
