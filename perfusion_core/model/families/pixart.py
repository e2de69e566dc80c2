"""PixArt-α and PixArt-Σ: a transformer that reads T5's states through a projection of captions."""

from __future__ import annotations

from typing import Any

from perfusion_core.model.families.description import Encoder, Family, TextInputs


def _arguments(pipeline: Any, text: TextInputs, size: tuple[int, int]) -> dict[str, Any]:
    """The text with its mask, and the image's size and shape where the pipeline tells them."""
    rows, (height, width) = len(text.encoding), size
    sizes: dict[str, Any] = {"resolution": None, "aspect_ratio": None}
    if pipeline.transformer.config.sample_size == 128:
        sizes = {
            "resolution": text.encoding.new_tensor([[height, width]]).repeat(rows, 1),
            "aspect_ratio": text.encoding.new_tensor([[height / width]]).repeat(rows, 1),
        }
    return {
        "encoder_hidden_states": text.encoding,
        "encoder_attention_mask": text.mask,
        "added_cond_kwargs": sizes,
    }


def _options(_steps: int) -> dict[str, Any]:
    # Captions are not cleaned of what looks like HTML: placeholders do.
    return {"use_resolution_binning": False, "clean_caption": False}


PIXART = Family(
    name="pixart",
    title="PixArt-α or PixArt-Σ",
    pipelines={"PixArtAlphaPipeline": "PixArtAlphaPipeline", "PixArtSigmaPipeline": "PixArtSigmaPipeline"},
    denoiser="transformer",
    denoiser_classes=("PixArtTransformer2DModel",),
    encoders=(
        Encoder(
            table="encoder.embed_tokens",
            masked=True,
            whole=True,
            lowercase=True,
            large=True,
            length_argument="max_sequence_length",
        ),
    ),
    reader=("caption_projection",),
    returned=(
        "prompt_embeds",
        "prompt_attention_mask",
        "negative_prompt_embeds",
        "negative_prompt_attention_mask",
    ),
    arguments=_arguments,
    options=_options,
    full_decoder="configured",
    sampling=("dpm++", 20, 4.5),
    teaching={"batch_size": 1, "accumulation": 16, "gradient_checkpointing": True},
    captions=20_000,
)
