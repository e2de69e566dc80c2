"""Sana and Sana-Sprint: a transformer that reads a language model's states behind an instruction."""

from __future__ import annotations

from typing import Any

from perfusion_core.model.families.description import Encoder, Family, Scheduler, TextInputs

# What Sana-Sprint, whose guidance is built in, is asked for while it learns: its pipeline's own.
_SPRINT_GUIDANCE = 4.5


def _arguments(pipeline: Any, text: TextInputs, _size: tuple[int, int]) -> dict[str, Any]:
    """The text with its mask, and how much guidance, where the denoiser has it built in."""
    config = pipeline.transformer.config
    told: dict[str, Any] = {
        "encoder_hidden_states": text.encoding,
        "encoder_attention_mask": text.mask,
    }
    if config.guidance_embeds:
        scale = _SPRINT_GUIDANCE * config.guidance_embeds_scale
        told["guidance"] = text.encoding.new_full((len(text.encoding),), scale)
    return told


def _sana_time(pipeline: Any) -> float:
    return 1000.0 * pipeline.transformer.config.timestep_scale


def _sprint_time(_pipeline: Any) -> float:
    return 1.0


def _options(_steps: int) -> dict[str, Any]:
    return {"use_resolution_binning": False, "clean_caption": False}


def _sprint_options(steps: int) -> dict[str, Any]:
    # Its pipeline has a default for two steps, which it refuses for any other number.
    return _options(steps) | ({} if steps == 2 else {"intermediate_timesteps": None})


_READING = Encoder(
    masked=True,
    whole=True,
    lowercase=True,
    large=True,
    length_argument="max_sequence_length",
    instruction_argument="complex_human_instruction",
)
_READER = ("caption_projection", "caption_norm")
_TEACHING = {"batch_size": 1, "accumulation": 16, "gradient_checkpointing": True}
_KEPT = (3.02, 0.25)  # computed: benchmarks.teach_memory
_CODING = (2.5, 1.76)  # likewise

SANA = Family(
    name="sana",
    title="Sana",
    pipelines={"SanaPipeline": "SanaPipeline", "SanaPAGPipeline": "SanaPipeline"},
    denoiser="transformer",
    denoiser_classes=("SanaTransformer2DModel",),
    encoders=(_READING,),
    reader=_READER,
    returned=(
        "prompt_embeds",
        "prompt_attention_mask",
        "negative_prompt_embeds",
        "negative_prompt_attention_mask",
    ),
    prediction="flow_prediction",
    flow_time=_sana_time,
    arguments=_arguments,
    options=_options,
    half="bfloat16",
    full_decoder="always",
    sampling=("own", 20, 4.5),
    schedulers={
        "dpm++": Scheduler(
            "DPMSolverMultistepScheduler",
            {"algorithm_type": "dpmsolver++", "prediction_type": "flow_prediction", "use_flow_sigmas": True},
            "flow_shift",
        ),
        "euler": Scheduler("FlowMatchEulerDiscreteScheduler", {}, "shift"),
    },
    teaching=_TEACHING,
    kept=_KEPT,
    coding=_CODING,
    captions=5_000,
)

# Its own scheduler and its own way of calling the denoiser; what the denoiser predicts is Sana's.
SANA_SPRINT = Family(
    name="sana-sprint",
    title="Sana-Sprint",
    pipelines={"SanaSprintPipeline": "SanaSprintPipeline"},
    denoiser="transformer",
    denoiser_classes=("SanaTransformer2DModel",),
    encoders=(_READING,),
    reader=_READER,
    returned=("prompt_embeds", "prompt_attention_mask"),
    prediction="flow_prediction",
    flow_time=_sprint_time,
    arguments=_arguments,
    options=_sprint_options,
    half="bfloat16",
    full_decoder="always",
    sampling=("own", 2, _SPRINT_GUIDANCE),
    schedulers={},
    teaching=_TEACHING,
    kept=_KEPT,
    coding=_CODING,
    captions=5_000,
    guidance_in_denoiser=True,
)
