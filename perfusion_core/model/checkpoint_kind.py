"""What a single .safetensors file is, from its header alone. Needs no torch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from safetensors import SafetensorError, safe_open

from perfusion_core.errors import BaseModelError
from perfusion_core.model.families.refused import refusal_of

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

_UNET = "model.diffusion_model."
_READS = "{}.transformer_blocks.0.attn2.to_k.weight"
_PLACES = (f"{_UNET}input_blocks.1.1", f"{_UNET}input_blocks.4.1")  # the first attention that reads text
_KINDS = {768: "sd1", 1024: "sd2", 2048: "sdxl"}


@dataclass(frozen=True)
class _Layout:
    """What is in a whole file of a kind: beginnings of its text encoders' tensors, and, where there are
    smaller denoisers of the same layout, a tensor that only the full one has.
    """

    text: tuple[str, ...]
    deepest: str = ""


_LAYOUTS = {
    "sd1": _Layout(("cond_stage_model.transformer.text_model.",)),
    "sd2": _Layout(("cond_stage_model.model.",)),
    "sdxl": _Layout(
        ("conditioner.embedders.0.transformer.text_model.", "conditioner.embedders.1.model."),
        deepest=f"{_UNET}input_blocks.7.1.transformer_blocks.9.attn2.to_k.weight",
    ),
}
_WORKS = "Use a Stable Diffusion 1.x, 2.x or SDXL checkpoint, or a diffusers folder, as base model."

_ON_TOP = "a LoRA, which goes on top of a base model"
_LORAS = "Put it into the folder “loras” beside the models, or give it with --lora."
# A part of a tensor's name -> what the file then is, and what to do. The first sign that is found counts.
_ADDED = {
    "lora_": (_ON_TOP, _LORAS),
    ".lora": (_ON_TOP, _LORAS),
    "to_k_ip.": ("an IP-Adapter, which goes on top of a base model", _WORKS),
    "perfusion_concept": ("a concept", "Import it in the library."),
}
# A part of a tensor's name -> class of the pipeline that it is a part of, for kinds that can be no base; as
# the publishers' own files and ComfyUI name them.
_REFUSED = {
    "time_stack.": "StableVideoDiffusion",
    "time_mixer.": "StableVideoDiffusion",
    "motion_modules.": "AnimateDiff",
    "individual_token_refiner.": "HunyuanVideo",
    "patchify_proj.": "LTX",
    "attn.qkv_x.": "Mochi",
    "head.modulation": "Wan",
    "joint_blocks.": "StableDiffusion3",
    "distilled_guidance_layer.": "Chroma",
    "double_blocks.": "Flux",
    "single_transformer_blocks.": "Flux",
    "txt_norm.weight": "QwenImage",
    "layers.0.adaLN_modulation.0.": "ZImage",
    "cap_embedder.": "Lumina",
    "cond_seq_linear.": "AuraFlow",
    "text_embedding_padding": "HunyuanDiT",
    "llm_adapter.": "AnimaModular",
}
_OTHERS = {
    "clip_txt_mapper.": ("a Stable Cascade model, whose text is read through image embeddings", _WORKS),
    "edm_mean": ("a Playground 2.5 model, trained with another noise schedule (EDM)", _WORKS),
    "edm_vpred.": ("a CosXL model, trained with another noise schedule (EDM)", _WORKS),
    "control_model.": ("a ControlNet", _WORKS),
    "controlnet_": ("a ControlNet", _WORKS),
    "t_block.": ("the transformer of PixArt without its text encoder", "Use its diffusers folder."),
    "adaln_single.": ("the transformer of PixArt without its text encoder", "Use its diffusers folder."),
    "adaln_modulation_cross_attn.": (
        "the transformer of Cosmos-Predict2 without its text encoder",
        "Use its diffusers folder.",
    ),
    "attention_y_norm.": ("the transformer of Sana without its text encoder", "Use its diffusers folder."),
    "down_blocks.": ("one part of a model", "Choose the diffusers folder that it lies in."),
}


def checkpoint_kind(path: Path) -> str:
    """ "sd1", "sd2" or "sdxl", from the file's header alone.

    Raises BaseModelError for anything else, saying what it is, why that cannot be used and what can.
    """
    shapes = _shapes(path)
    kind = _kind(shapes)
    problem = _refusal(path.name, shapes, kind)
    if problem or kind is None:
        raise BaseModelError(problem)
    return kind


def marks(path: Path) -> frozenset[str]:
    """What the file says of its training: "v_pred" (predicts velocity), "ztsnr" (up to noise alone)."""
    return frozenset({"v_pred", "ztsnr"} & set(_shapes(path)))


def _kind(shapes: Mapping[str, list[int]]) -> str | None:
    reading = next((shapes[name] for place in _PLACES if (name := _READS.format(place)) in shapes), None)
    return _KINDS.get(reading[1]) if reading and len(reading) == 2 else None


def _refusal(name: str, shapes: Mapping[str, list[int]], kind: str | None) -> str:
    """Why a file cannot be a base, in words; "" where it can."""
    added = _told(name, shapes, _ADDED)
    if added:
        return added
    refused = next((cls for sign, cls in _REFUSED.items() if any(sign in key for key in shapes)), None)
    known = refusal_of(refused) if refused else None
    if known is not None:
        return known.words(name)
    entry = shapes.get(f"{_UNET}input_blocks.0.0.weight")
    if entry is not None and len(entry) == 4 and entry[1] != 4:
        inpainting = refusal_of("StableDiffusionInpaint")
        assert inpainting is not None
        return inpainting.words(name)
    other = _told(name, shapes, _OTHERS)
    if other:
        return other
    if kind is None:
        if _is_refiner(shapes):
            return (
                f"{name} is the SDXL refiner, which is not supported: it finishes images of another model "
                "and reads one text encoder. Use the SDXL model that it refines."
            )
        return f"{name} is no checkpoint of a kind that is supported. {_WORKS}"
    return _incomplete(name, shapes, kind)


def _told(name: str, shapes: Mapping[str, list[int]], signs: Mapping[str, tuple[str, str]]) -> str:
    for sign, (what, remedy) in signs.items():
        if any(sign in key for key in shapes):
            return f"{name} is {what}; as a base model that is not supported. {remedy}"
    return ""


def _is_refiner(shapes: Mapping[str, list[int]]) -> bool:
    reading = shapes.get(_READS.format(_PLACES[1]))
    return bool(reading) and reading[-1] == 1280


def _incomplete(name: str, shapes: Mapping[str, list[int]], kind: str) -> str:
    layout = _LAYOUTS[kind]
    lacking = [start for start in layout.text if not any(key.startswith(start) for key in shapes)]
    if lacking and any("cond_stage_model." in key or "conditioner." in key for key in shapes):
        return f"{name} has text encoders of another kind ({lacking[0]}… is missing). {_WORKS}"
    if lacking:
        return (
            f"{name} holds a denoiser without text encoders, as tools save it for their own use. Choose the "
            "whole checkpoint."
        )
    if not any(key.startswith(("first_stage_model.", "vae.")) for key in shapes):
        return f"{name} holds no autoencoder. Choose the whole checkpoint, with its VAE baked in."
    if layout.deepest and layout.deepest not in shapes:
        return (
            f"{name} is a smaller denoiser than SDXL's (SSD-1B, Segmind Vega and the like), whose layers a "
            "single file does not name. Use its diffusers folder."
        )
    return ""


def _shapes(path: Path) -> dict[str, list[int]]:
    """Names and shapes of a .safetensors file's tensors, from its header."""
    try:
        with safe_open(path, framework="numpy") as file:
            return {name: file.get_slice(name).get_shape() for name in file.keys()}  # noqa: SIM118 - no mapping
    except (SafetensorError, OSError) as error:
        raise BaseModelError(
            f"{path.name} is not a whole .safetensors file. Download it again, as .safetensors."
        ) from error
