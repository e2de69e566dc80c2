"""Cosmos-Predict2 for text to image: a transformer for videos, here of one frame, that reads T5's states."""

from __future__ import annotations

from typing import Any

from perfusion_core.model.families.description import Encoder, Family, TextInputs

# Latent pixels on a side of the square image that Predict2 was made for; its configuration says only what
# its positions reach to.
_SIDE = 128


def _arguments(pipeline: Any, text: TextInputs, size: tuple[int, int]) -> dict[str, Any]:
    """The text, and that no part of the image is padding."""
    told: dict[str, Any] = {"encoder_hidden_states": text.encoding}
    if pipeline.transformer.config.concat_padding_mask:
        told["padding_mask"] = text.encoding.new_zeros(1, 1, *size)
    return told


def _time(_pipeline: Any) -> float:
    return 1.0


def _side(config: Any) -> int:
    return min(_SIDE, *config.max_size[1:])


def _negative(pipeline: Any) -> str:
    """The pipeline's own, which its module names."""
    return str(type(pipeline).encode_prompt.__globals__.get("DEFAULT_NEGATIVE_PROMPT", ""))


def _problem(pipeline: Any) -> str:
    config = pipeline.transformer.config
    flow = type(pipeline.scheduler).__name__.startswith("FlowMatch")
    if config.in_channels != config.out_channels or not flow:
        return "it is a Cosmos model that makes videos"
    if config.use_crossattn_projection or config.img_context_dim_in:
        return "it is a Cosmos model whose text comes from a model of images and text"
    return ""


def _finished(pipeline: Any, image: Any) -> Any:
    """As the pipeline does to what it makes: its guardrail blurs faces, and may withhold the image."""
    import numpy as np
    from PIL import Image

    checker = pipeline.safety_checker
    checker.to(pipeline.transformer.device)
    try:
        frames = checker.check_video_safety(np.asarray(image)[None])
    finally:
        checker.to("cpu")
    return None if frames is None else Image.fromarray(np.asarray(frames[0], dtype=np.uint8))


COSMOS = Family(
    name="cosmos",
    title="Cosmos-Predict2 Text2Image",
    pipelines={"Cosmos2TextToImagePipeline": "Cosmos2TextToImagePipeline"},
    denoiser="transformer",
    denoiser_classes=("CosmosTransformer3DModel",),
    encoders=(
        Encoder(
            table="encoder.embed_tokens",
            masked=True,
            zeroed=True,
            whole=True,
            large=True,
            length_argument="max_sequence_length",
        ),
    ),
    prediction="flow_prediction",
    flow_time=_time,
    arguments=_arguments,
    frames=True,
    guided_apart=True,
    negative=_negative,
    sample_size=_side,
    finished=_finished,
    packages=("cosmos_guardrail", "torchvision"),
    half="bfloat16",
    full_decoder="always",
    problem=_problem,
    sampling=("own", 35, 7.0),
    schedulers={},
    teaching={"batch_size": 1, "accumulation": 16, "gradient_checkpointing": True},
    kept=(9.71, 0.81),  # computed: benchmarks.teach_memory
    coding=(6.76, 3.38),  # likewise
    captions=5_000,
)
