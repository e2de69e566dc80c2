"""Stable Diffusion XL and what stands on it: fine-tuned ones, Turbo, Lightning, LCM."""

from __future__ import annotations

from typing import Any

from perfusion_core.model.families.description import Encoder, Family, TextInputs


def _arguments(_pipeline: Any, text: TextInputs, size: tuple[int, int]) -> dict[str, Any]:
    """The text, and that the image was neither scaled nor cropped: original size, corner, target size."""
    time_ids = text.encoding.new_tensor([[*size, 0, 0, *size]]).repeat(len(text.encoding), 1)
    pooled = text.pooled.to(text.encoding)
    return {
        "encoder_hidden_states": text.encoding,
        "added_cond_kwargs": {"text_embeds": pooled, "time_ids": time_ids},
    }


def _problem(pipeline: Any) -> str:
    config = pipeline.unet.config
    if getattr(config, "encoder_hid_dim_type", None) not in (None, "ip_image_proj"):
        return "its denoiser changes the text's encodings before its projections read them"
    if config.addition_embed_type != "text_time":
        return "its denoiser is not told the size of the image, as SDXL's is"
    return ""


SDXL = Family(
    name="sdxl",
    title="SDXL",
    pipelines={
        "StableDiffusionXLPipeline": "StableDiffusionXLPipeline",
        "StableDiffusionXLImg2ImgPipeline": "StableDiffusionXLPipeline",
    },
    denoiser="unet",
    # One word is learned in both; the denoiser reads their states side by side.
    encoders=(
        Encoder(states="penultimate"),
        Encoder("text_encoder_2", "tokenizer_2", states="penultimate", pooled=True),
    ),
    returned=(
        "prompt_embeds",
        "negative_prompt_embeds",
        "pooled_prompt_embeds",
        "negative_pooled_prompt_embeds",
    ),
    arguments=_arguments,
    loading={"feature_extractor": None, "image_encoder": None, "add_watermarker": False},
    full_decoder="configured",
    problem=_problem,
    sampling=("dpm++", 30, 6.0),
    teaching={"batch_size": 1, "accumulation": 16, "gradient_checkpointing": True},
    kept=(4.77, 0.56),  # computed: benchmarks.teach_memory
)
