"""Short names for weights: two models with the same fingerprint hold the same numbers.

Values are sampled, rounded to half precision and hashed with their names and shapes, so that one model
stored in fp32 and in fp16 has one fingerprint, and a fine-tuned one has another.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import torch
from torch import nn

from perfusion_core.model.describe import cross_attentions, linear_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

SAMPLES = 64


def text_fingerprint(text_encoder: nn.Module) -> str:
    """Fingerprint of the text encoder alone: what the statistics of text encodings depend on."""
    return _digest(_named_weights(text_encoder))


def base_fingerprint(text_encoder: nn.Module, denoiser: nn.Module) -> str:
    """Fingerprint of all that a concept depends on: the text encoder and the edited projections."""

    def weights() -> Iterator[tuple[str, torch.Tensor]]:
        yield from _named_weights(text_encoder)
        for path, attention in sorted(cross_attentions(denoiser).items()):
            yield f"{path}.to_k", linear_of(attention.to_k).weight
            yield f"{path}.to_v", linear_of(attention.to_v).weight

    return _digest(weights())


def _named_weights(module: nn.Module) -> list[tuple[str, torch.Tensor]]:
    """The module's own weights by name, whatever the library's version calls them and without LoRA."""
    named: list[tuple[str, torch.Tensor]] = []
    for name, weight in module.named_parameters():
        if "lora_" not in name:
            named.append(
                (
                    name.removeprefix("_orig_mod.").removeprefix("text_model.").replace(".base_layer.", "."),
                    weight,
                )
            )
    return sorted(named, key=lambda pair: pair[0])


def _digest(weights: Iterable[tuple[str, torch.Tensor]]) -> str:
    digest = hashlib.sha256()
    for name, weight in weights:
        digest.update(f"{name}{tuple(weight.shape)}".encode())
        flat = weight.detach().reshape(-1)
        sampled = flat[:: max(1, flat.numel() // SAMPLES)][:SAMPLES].float()
        digest.update(sampled.to(torch.float16).cpu().contiguous().view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()[:32]
