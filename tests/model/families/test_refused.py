"""Pipelines of other models, of the true classes with their own denoisers, are refused with the reason."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from diffusers import (
    FlowMatchEulerDiscreteScheduler,
    FluxPipeline,
    FluxTransformer2DModel,
    SanaVideoPipeline,
    SanaVideoTransformer3DModel,
    SD3Transformer2DModel,
    StableDiffusion3Pipeline,
)

from perfusion_core.errors import BaseModelError
from perfusion_core.model.applied import applied
from perfusion_core.model.families.registry import family_of
from tests.tiny_families import tiny_family


def stable_diffusion_3() -> Any:
    """Two CLIPs, as SDXL has them."""
    parts = tiny_family("sdxl").components
    transformer = SD3Transformer2DModel(
        sample_size=8,
        patch_size=2,
        in_channels=4,
        out_channels=4,
        num_layers=1,
        attention_head_dim=8,
        num_attention_heads=2,
        joint_attention_dim=16,
        caption_projection_dim=16,
        pooled_projection_dim=16,
        pos_embed_max_size=8,
    )
    named = ("text_encoder", "text_encoder_2", "tokenizer", "tokenizer_2", "vae")
    return StableDiffusion3Pipeline(
        transformer=transformer,
        scheduler=FlowMatchEulerDiscreteScheduler(),
        text_encoder_3=None,
        tokenizer_3=None,
        **{name: parts[name] for name in named},
    )


def flux(guided: bool) -> Any:
    """One text encoder, as far as it is loaded; with guidance built in, as Sana-Sprint has it."""
    parts = tiny_family("sdxl").components
    transformer = FluxTransformer2DModel(
        patch_size=1,
        in_channels=4,
        num_layers=1,
        num_single_layers=1,
        attention_head_dim=16,
        num_attention_heads=2,
        joint_attention_dim=16,
        pooled_projection_dim=16,
        axes_dims_rope=(4, 4, 8),
        guidance_embeds=guided,
    )
    return FluxPipeline(
        transformer=transformer,
        scheduler=FlowMatchEulerDiscreteScheduler(),
        text_encoder_2=None,
        tokenizer_2=None,
        **{name: parts[name] for name in ("text_encoder", "tokenizer", "vae")},
    )


def sana_video() -> Any:
    """Sana's text encoder and reader, and a name that begins with Sana's."""
    transformer = SanaVideoTransformer3DModel(
        in_channels=4,
        out_channels=4,
        num_attention_heads=2,
        attention_head_dim=12,
        num_layers=1,
        num_cross_attention_heads=2,
        cross_attention_head_dim=12,
        cross_attention_dim=24,
        caption_channels=40,
        sample_size=8,
    )
    parts = tiny_family("sana").components
    return SanaVideoPipeline(
        transformer=transformer,
        vae=tiny_family("cosmos").vae,
        **{name: parts[name] for name in ("text_encoder", "tokenizer", "scheduler")},
    )


@pytest.mark.parametrize(
    ("build", "words"),
    [
        (stable_diffusion_3, "a Stable Diffusion 3 model.*text and image together.*Use SDXL"),
        (lambda: flux(True), "a FLUX model.*text and image together"),
        (lambda: flux(False), "a FLUX model.*text and image together"),
        (sana_video, "a video model.*single images, such as SDXL or Sana"),
    ],
    ids=["sd3", "flux with guidance", "flux without", "sana video"],
)
def test_a_pipeline_with_its_own_denoiser_is_refused(build: Callable[[], Any], words: str) -> None:
    pipe = build()
    with pytest.raises(BaseModelError, match=words):
        family_of(pipe)
    with pytest.raises(BaseModelError, match=words), applied(pipe, []):
        pass
