"""LoRA files as people have them, for the tests: diffusers' and Kohya's naming, on any tiny pipeline."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from diffusers.loaders.lora_base import LORA_ADAPTER_METADATA_KEY
from peft import LoraConfig, inject_adapter_in_model
from peft.utils import get_peft_model_state_dict
from safetensors.torch import load_file, save_file

from perfusion_core.model.base import Base
from tests.tiny_families import plain_options
from tests.tiny_model import tiny_pipeline

RANK = 2
_LAYERS = {
    "unet": ["to_q", "to_k", "to_v"],
    "text_encoder": ["q_proj", "v_proj"],
    "transformer": ["to_k", "to_v"],
}


def lora_tensors(pipe: Any, part: str = "unet", seed: int = 7, size: float = 0.3) -> dict[str, torch.Tensor]:
    """Random layers for one part of `pipe`, in PEFT's naming behind the part's name. Changes `pipe`."""
    config = LoraConfig(r=RANK, lora_alpha=RANK, target_modules=_LAYERS[part], init_lora_weights=False)
    inject_adapter_in_model(config, getattr(pipe, part), "made")
    generator = torch.Generator().manual_seed(seed)
    found = get_peft_model_state_dict(getattr(pipe, part), adapter_name="made")
    return {
        f"{part}.{name}": size * torch.randn(tensor.shape, generator=generator)
        for name, tensor in sorted(found.items())
    }


def save_lora(
    file: Path,
    pipe: Any = None,
    parts: tuple[str, ...] = ("unet",),
    seed: int = 7,
    alpha: float | None = None,
) -> Path:
    """A LoRA as diffusers saves it; with `alpha` beside its tensors, as it does from version 0.34 on."""
    pipe = tiny_pipeline() if pipe is None else pipe
    tensors = {name: t for part in parts for name, t in lora_tensors(pipe, part, seed).items()}
    metadata = {"format": "pt"}
    if alpha is not None:
        told = {
            f"{part}.{key}": value
            for part in parts
            for key, value in {"r": RANK, "lora_alpha": alpha}.items()
        }
        metadata[LORA_ADAPTER_METADATA_KEY] = json.dumps(told)
    file.parent.mkdir(parents=True, exist_ok=True)
    save_file(tensors, file, metadata)
    return file


def save_kohya_lora(file: Path, like: Path, alpha: float = RANK) -> Path:
    """The LoRA of `like`, one of `save_lora` for the denoiser, as Kohya's scripts name it."""
    renamed: dict[str, torch.Tensor] = {}
    for name, tensor in load_file(like).items():
        module, _, ending = name.removeprefix("unet.").partition(".lora_")
        module = "lora_unet_" + module.replace(".", "_")
        renamed[f"{module}.lora_{'down' if ending.startswith('A') else 'up'}.weight"] = tensor
        renamed[f"{module}.alpha"] = torch.tensor(float(alpha))
    save_file(renamed, file)
    return file


def drawn(base: Base, kind: str = "sd", prompt: str = "a photo of a cat") -> torch.Tensor:
    options = plain_options(kind) | {"output_type": "latent"}
    return base.pipeline(prompt, generator=torch.Generator().manual_seed(1), **options).images


def parts_of(base: Base) -> dict[str, Any]:
    """What is in a base, by name: the very objects, and what libraries leave on models."""
    found: dict[str, Any] = {}
    for part in base.family.parts:
        model = getattr(base.pipeline, part)
        found |= {f"{part}.{name}": id(module) for name, module in model.named_modules()}
        found |= {f"{part}.{name}": (id(p), p.requires_grad) for name, p in model.named_parameters()}
        found |= {f"{part}: {name}": True for name in model.__dict__}
    return found
