"""Stable Diffusion 1.x and 2.x, and the models built like them."""

from __future__ import annotations

from typing import Any

from perfusion_core.model.families.description import Family


def _problem(pipeline: Any) -> str:
    config = pipeline.unet.config
    if not isinstance(config.cross_attention_dim, int):
        return "its denoiser does not read the text through cross-attention of one width"
    if getattr(config, "encoder_hid_dim_type", None) not in (None, "ip_image_proj"):
        return "its denoiser changes the text's encodings before its projections read them"
    return ""


STABLE_DIFFUSION = Family(
    name="stable-diffusion",
    title="Stable Diffusion 1.x or 2.x",
    pipelines={
        "StableDiffusionPipeline": "StableDiffusionPipeline",
        "StableDiffusionImg2ImgPipeline": "StableDiffusionPipeline",
        "LatentConsistencyModelPipeline": "StableDiffusionPipeline",
    },
    denoiser="unet",
    loading={
        "safety_checker": None,
        "requires_safety_checker": False,
        "feature_extractor": None,
        "image_encoder": None,
    },
    problem=_problem,
    small_sampling=("ddim", 20, 5.0),  # the bundled base; looked at: 3 is soft, 8 harsh
    concept_format=1,  # as earlier versions read it
)
