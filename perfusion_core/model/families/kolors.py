"""Kolors: SDXL's denoiser, which reads a language model's states through a projection."""

from __future__ import annotations

from typing import Any

from perfusion_core.model.families.description import Encoder, Family
from perfusion_core.model.families.sdxl import SDXL


def _read(module: Any, ids: Any, mask: Any) -> tuple[Any, Any]:
    """The states before the last layer, and the last token's behind it, which stand for pooled text.

    ChatGLM has the batch second, and counts places from the first token that is no padding.
    """
    places = (mask.cumsum(dim=-1) - 1).clamp(min=0)
    output = module(input_ids=ids, attention_mask=mask, position_ids=places, output_hidden_states=True)
    return output.hidden_states[-2].transpose(0, 1), output.hidden_states[-1][-1]


def _problem(pipeline: Any) -> str:
    if pipeline.unet.config.encoder_hid_dim_type != "text_proj":
        return "an IP-Adapter stands where its denoiser reads the text"
    return ""


KOLORS = Family(
    name="kolors",
    title="Kolors",
    pipelines=dict.fromkeys(
        ("KolorsPipeline", "KolorsImg2ImgPipeline", "KolorsPAGPipeline"), "KolorsPipeline"
    ),
    denoiser="unet",
    encoders=(
        Encoder(
            pooled=True,
            whole=True,
            large=True,
            left=True,
            classes=("ChatGLMModel",),
            read=_read,
            length_argument="max_sequence_length",
        ),
    ),
    reader=("encoder_hid_proj",),
    returned=SDXL.returned,
    arguments=SDXL.arguments,
    loading={"feature_extractor": None, "image_encoder": None},
    packages=("sentencepiece",),
    full_decoder="configured",
    problem=_problem,
    sampling=("dpm++", 30, 5.0),
    teaching=SDXL.teaching,
    kept=(4.83, 0.56),  # computed: benchmarks.teach_memory
    captions=5_000,
)
