"""Single .safetensors checkpoints of Stable Diffusion 1.x and 2.x, read without any network.

What such a file lacks (configurations and the tokenizer) comes with this project.
"""

from __future__ import annotations

import gzip
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from diffusers.pipelines.stable_diffusion.pipeline_stable_diffusion import StableDiffusionPipeline
from safetensors import SafetensorError, safe_open
from transformers import CLIPTokenizer

from perfusion_core.errors import BaseModelError
from perfusion_core.model.quiet import quiet_libraries

if TYPE_CHECKING:
    from collections.abc import Mapping

CONFIGS = Path(__file__).parent / "configs"
MERGES = Path(__file__).parents[2] / "assets" / "clip" / "merges.txt.gz"
_UNET = "model.diffusion_model."
_TEXT_KEYS = _UNET + "input_blocks.{}.1.transformer_blocks.0.attn2.to_k.weight"
_KINDS = {768: "sd1", 1024: "sd2"}
_PADDING = {"sd1": "<|endoftext|>", "sd2": "!"}
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


def load_single_file(path: Path) -> StableDiffusionPipeline:
    """Load a checkpoint in float32. Raises BaseModelError when it is not Stable Diffusion 1.x or 2.x."""
    kind = checkpoint_kind(path)
    with quiet_libraries():
        pipe = StableDiffusionPipeline.from_single_file(
            str(path),
            config=str(CONFIGS / kind),
            local_files_only=True,
            torch_dtype=torch.float32,
            tokenizer=clip_tokenizer(pad_token=_PADDING[kind]),
        )
    if kind == "sd2":
        set_prediction_type(pipe)
    return pipe


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
    try:
        with safe_open(path, framework="pt") as file:
            return {name: file.get_slice(name).get_shape() for name in file.keys()}  # noqa: SIM118
    except (SafetensorError, OSError) as error:
        raise BaseModelError(
            f"{path.name} is not a whole .safetensors file. Download it again, as .safetensors."
        ) from error


def clip_tokenizer(pad_token: str = "<|endoftext|>") -> CLIPTokenizer:
    """CLIP's own tokenizer, from the merges shipped with the project. Raises BaseModelError without."""
    try:
        lines = gzip.decompress(MERGES.read_bytes()).decode("utf-8").splitlines()
    except (OSError, EOFError, ValueError) as error:
        raise BaseModelError(
            f"CLIP's vocabulary is missing from {MERGES}. Get the project again with its assets."
        ) from error
    merges = [(first, second) for first, second in (line.split() for line in lines)]
    letters = _letters()
    pieces = [*letters, *(letter + "</w>" for letter in letters), *("".join(pair) for pair in merges)]
    pieces += ["<|startoftext|>", "<|endoftext|>"]
    vocabulary = {piece: index for index, piece in enumerate(pieces)}
    made: Any = CLIPTokenizer
    return made(vocab=vocabulary, merges=merges, pad_token=pad_token, model_max_length=77)


def _letters() -> list[str]:
    """How byte-level BPE writes the 256 bytes, in the vocabulary's order: visible ones come first."""
    seen = [*range(33, 127), *range(161, 173), *range(174, 256)]
    hidden = [byte for byte in range(256) if byte not in set(seen)]
    return [chr(byte) for byte in seen] + [chr(256 + index) for index in range(len(hidden))]


@torch.no_grad()
def set_prediction_type(pipe: Any) -> None:
    """Find out whether a Stable Diffusion 2.x denoiser predicts noise or velocity; files do not say.

    At the last timestep an image is nearly pure noise: one that predicts noise gives its input back, one that
    predicts velocity gives (minus) its idea of the image.
    """
    unet = pipe.unet
    generator = torch.Generator().manual_seed(0)
    noise = torch.randn(1, unet.config.in_channels, 32, 32, generator=generator)
    encoding = torch.zeros(1, 77, unet.config.cross_attention_dim)
    answer = unet(noise, 999, encoding).sample
    likeness = torch.nn.functional.cosine_similarity(answer.flatten(), noise.flatten(), dim=0)
    prediction_type = "epsilon" if likeness > 0.5 else "v_prediction"
    pipe.scheduler.register_to_config(prediction_type=prediction_type)
    if prediction_type == "epsilon":  # the 512-pixel models
        unet.register_to_config(sample_size=64)
