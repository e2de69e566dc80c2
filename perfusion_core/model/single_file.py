"""Single .safetensors checkpoints of Stable Diffusion 1.x, 2.x and SDXL, read without any network.

What such a file lacks (configurations and the tokenizer) comes with this project.
"""

from __future__ import annotations

import gzip
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from diffusers.pipelines.stable_diffusion.pipeline_stable_diffusion import StableDiffusionPipeline
from diffusers.pipelines.stable_diffusion_xl.pipeline_stable_diffusion_xl import StableDiffusionXLPipeline
from safetensors import safe_open
from transformers import CLIPTokenizer

from perfusion_core.errors import BaseModelError
from perfusion_core.model.checkpoint_kind import checkpoint_kind, marks
from perfusion_core.model.quiet import quiet_libraries

CONFIGS = Path(__file__).parent / "configs"
MERGES = Path(__file__).parents[2] / "assets" / "clip" / "merges.txt.gz"
_PROJECTION = "conditioner.embedders.1.model.text_projection.weight"
_ESTIMATES = re.compile(r"1step_x0")  # Lightning of one step, as published, predicts the image itself
# SDXL-Turbo as it was published; what was merged with it draws at SDXL's own size.
_SMALL_SDXL, _SMALL_SIDE = "sd_xl_turbo", 64


def load_single_file(path: Path) -> Any:
    """Load a checkpoint in float32. Raises BaseModelError when it is of no kind that is supported."""
    kind = checkpoint_kind(path)
    layout = _LAYOUTS[kind]
    tokenizers = {name: clip_tokenizer(pad_token=padding) for name, padding in layout.padding.items()}
    with quiet_libraries():
        pipe = layout.pipeline.from_single_file(
            str(path),
            config=str(CONFIGS / kind),
            local_files_only=True,
            torch_dtype=torch.float32,
            **tokenizers,
            **layout.options,
        )
        layout.complete(pipe, path)
    return pipe


def _complete_sdxl(pipe: Any, path: Path) -> None:
    """What the converter leaves open: the other name of a tensor, and how the denoiser was trained."""
    projection = pipe.text_encoder_2.text_projection
    if projection.weight.is_meta:
        # diffusers' conversion script writes it as transformers has it. Under OpenCLIP's own name, without
        # .weight, it is transposed, which the converter undoes.
        with safe_open(path, framework="pt") as file:
            stored = file.get_tensor(_PROJECTION).float()
        projection.weight = torch.nn.Parameter(stored.contiguous(), requires_grad=False)
    found = marks(path)
    changes: dict[str, Any] = {}
    if "v_pred" in found:
        changes["prediction_type"] = "v_prediction"
    if "ztsnr" in found:
        changes |= {"rescale_betas_zero_snr": True, "timestep_spacing": "trailing"}
    if _ESTIMATES.search(path.stem):
        changes["prediction_type"] = "sample"
    if changes:
        pipe.scheduler = type(pipe.scheduler).from_config(pipe.scheduler.config, **changes)
    if path.stem.lower().startswith(_SMALL_SDXL):
        pipe.unet.register_to_config(sample_size=_SMALL_SIDE)


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
    predicts velocity gives its negated estimate of the image.
    """
    unet = pipe.unet
    generator = torch.Generator().manual_seed(0)
    noise = torch.randn(1, unet.config.in_channels, 32, 32, generator=generator)
    encoding = torch.zeros(1, 77, unet.config.cross_attention_dim)
    answer = unet(noise, 999, encoding).sample
    similarity = torch.nn.functional.cosine_similarity(answer.flatten(), noise.flatten(), dim=0)
    prediction_type = "epsilon" if similarity > 0.5 else "v_prediction"
    pipe.scheduler.register_to_config(prediction_type=prediction_type)
    if prediction_type == "epsilon":  # the 512-pixel models
        unet.register_to_config(sample_size=64)


@dataclass(frozen=True)
class _Layout:
    """How a file of a kind becomes a pipeline: its class, the padding of each tokenizer, further arguments,
    and what is done to it afterwards.
    """

    pipeline: Any
    padding: Mapping[str, str]
    options: Mapping[str, Any] = field(default_factory=dict[str, Any])
    complete: Callable[[Any, Path], None] = lambda _pipe, _path: None


_LAYOUTS = {
    "sd1": _Layout(StableDiffusionPipeline, {"tokenizer": "<|endoftext|>"}),
    "sd2": _Layout(
        StableDiffusionPipeline, {"tokenizer": "!"}, complete=lambda pipe, _path: set_prediction_type(pipe)
    ),
    "sdxl": _Layout(
        StableDiffusionXLPipeline,
        {"tokenizer": "<|endoftext|>", "tokenizer_2": "!"},
        {"add_watermarker": False},
        _complete_sdxl,
    ),
}
