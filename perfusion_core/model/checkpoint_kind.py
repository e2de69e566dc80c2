"""What a single .safetensors file is, from its header alone. Needs no torch."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from safetensors import SafetensorError, safe_open

from perfusion_core.errors import BaseModelError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

_UNET = "model.diffusion_model."
_TEXT_KEYS = _UNET + "input_blocks.{}.1.transformer_blocks.0.attn2.to_k.weight"
_KINDS = {768: "sd1", 1024: "sd2"}
# A name found in the file -> what the file then is.
_SIGNS = {
    "conditioner.embedders": "an SDXL model",
    "joint_blocks.": "a Stable Diffusion 3 model",
    "double_blocks.": "a Flux model",
    "control_model.": "a ControlNet",
    "lora_": "a LoRA, which goes on top of a base model",
    ".lora": "a LoRA, which goes on top of a base model",
    "adaln_single.": "a PixArt model",
    "perfusion_concept": "a concept",
    "down_blocks.": "one part of a model",
}


def checkpoint_kind(path: Path) -> str:
    """ "sd1" or "sd2", from the file's header alone. Raises BaseModelError for anything else."""
    shapes = _shapes(path)
    entry = shapes.get(_UNET + "input_blocks.0.0.weight")
    if entry is not None and entry[1] != 4:
        raise BaseModelError(
            f"{path.name} is an inpainting or editing model, which is not supported yet. "
            "Use the plain model it was made from."
        )
    reading = shapes.get(_TEXT_KEYS.format(1)) or shapes.get(_TEXT_KEYS.format(4))
    kind = _KINDS.get(reading[1]) if reading else None
    if kind is None or any("conditioner.embedders" in name for name in shapes):
        raise BaseModelError(
            f"{path.name} {_what_it_is(shapes)}. Use a Stable Diffusion 1.x or 2.x checkpoint as base model."
        )
    return kind


def _what_it_is(shapes: Mapping[str, Any]) -> str:
    for sign, words in _SIGNS.items():
        if any(sign in name for name in shapes):
            return f"is {words}; as a base model that is not supported"
    return "is no checkpoint of a kind that is supported"


def _shapes(path: Path) -> dict[str, list[int]]:
    """Names and shapes of a .safetensors file's tensors, from its header."""
    try:
        with safe_open(path, framework="numpy") as file:
            return {name: file.get_slice(name).get_shape() for name in file.keys()}  # noqa: SIM118 - no mapping
    except (SafetensorError, OSError) as error:
        raise BaseModelError(
            f"{path.name} is not a whole .safetensors file. Download it again, as .safetensors."
        ) from error
