"""Cosmos-Predict2 of the true classes, small, without the packages that its guardrail and its mask need."""

from __future__ import annotations

from importlib.util import find_spec
from types import SimpleNamespace
from typing import Any

import torch
from diffusers import (
    AutoencoderKLWan,
    Cosmos2TextToImagePipeline,
    CosmosTransformer3DModel,
    FlowMatchEulerDiscreteScheduler,
)
from diffusers.models.transformers import transformer_cosmos
from diffusers.pipelines.cosmos import pipeline_cosmos2_text2image

from perfusion_core.model.families import registry


def _resize(mask: torch.Tensor, size: list[int], **_: Any) -> torch.Tensor:
    return torch.nn.functional.interpolate(mask, size, mode="nearest")


if find_spec("torchvision") is None:  # the denoiser takes one function of it
    transformer_cosmos.transforms = SimpleNamespace(
        functional=SimpleNamespace(resize=_resize), InterpolationMode=SimpleNamespace(NEAREST="nearest")
    )


class Guardrail:
    """In the place of NVIDIA's, which needs models of its own: it passes everything, and notes what."""

    def __init__(self) -> None:
        self.texts: list[str] = []
        self.images = 0
        self.withholds = False

    def to(self, _device: Any) -> None:
        pass

    def check_text_safety(self, prompt: str) -> bool:
        self.texts.append(prompt)
        return True

    def check_video_safety(self, frames: Any) -> Any:
        self.images += len(frames)
        return None if self.withholds else frames


def install_guardrail(monkeypatch: Any) -> None:
    """As if the packages were there that diffusers loads Cosmos with."""
    monkeypatch.setattr(pipeline_cosmos2_text2image, "CosmosSafetyChecker", Guardrail)
    monkeypatch.setattr(registry, "find_spec", lambda _name: object())


def cosmos_pipeline(parts: dict[str, Any]) -> Cosmos2TextToImagePipeline:
    """64×64 images from 8×8 latents; with a T5 of width 40, whose states the projections read, of `parts`."""
    return Cosmos2TextToImagePipeline(
        text_encoder=parts["text_encoder"],
        tokenizer=parts["tokenizer"],
        transformer=CosmosTransformer3DModel(
            in_channels=4,
            out_channels=4,
            num_attention_heads=2,
            attention_head_dim=18,
            num_layers=3,
            mlp_ratio=2.0,
            text_embed_dim=40,
            adaln_lora_dim=8,
            max_size=(4, 8, 8),
            rope_scale=(1.0, 4.0, 4.0),
            extra_pos_embed_type=None,
        ),
        vae=AutoencoderKLWan(
            base_dim=8,
            z_dim=4,
            dim_mult=[1, 1, 1, 1],
            num_res_blocks=1,
            latents_mean=[-0.7, 0.1, 0.9, -0.2],
            latents_std=[2.8, 1.4, 2.3, 1.9],
        ),
        scheduler=FlowMatchEulerDiscreteScheduler(use_karras_sigmas=True),
        safety_checker=Guardrail(),
    )
