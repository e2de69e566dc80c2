"""Short names for weights: two models with the same fingerprint hold the same numbers.

Values are sampled, rounded to half precision and hashed with their names and shapes, so that one model
stored in fp32 and in fp16 has one fingerprint, and a fine-tuned one has another.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from perfusion_core.model.describe import cross_attentions, linear_of
from perfusion_core.model.reading import reader_modules

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from perfusion_core.model.families.description import Family

SAMPLES = 64


def text_fingerprint(text_encoder: nn.Module) -> str:
    """Fingerprint of one text encoder alone."""
    return _digest(_named_weights(text_encoder))


def encoding_fingerprint(pipeline: Any, family: Family) -> str:
    """Fingerprint of all that the statistics of text encodings depend on: the text encoders, and what the
    text passes before the projections read it.
    """
    return _digest(
        _text_weights(_encoders(pipeline, family), getattr(pipeline, family.denoiser), family.reader)
    )


def pipeline_fingerprint(pipeline: Any, family: Family) -> str:
    """Fingerprint of all of a pipeline that a concept depends on."""
    return base_fingerprint(_encoders(pipeline, family), getattr(pipeline, family.denoiser), family.reader)


def base_fingerprint(
    text_encoders: nn.Module | Sequence[nn.Module], denoiser: nn.Module, reader: Sequence[str] = ()
) -> str:
    """Fingerprint of all that a concept depends on: the text encoders, what the text passes in the denoiser,
    and the edited projections.
    """
    encoders = text_encoders if isinstance(text_encoders, Sequence) else (text_encoders,)

    def weights() -> Iterator[tuple[str, torch.Tensor]]:
        yield from _text_weights(encoders, denoiser, reader)
        for path, attention in sorted(cross_attentions(denoiser).items()):
            for name in ("to_k", "to_v"):
                linear = linear_of(getattr(attention, name))
                yield f"{path}.{name}", linear.weight
                if linear.bias is not None:
                    yield f"{path}.{name}.bias", linear.bias

    return _digest(weights())


def _encoders(pipeline: Any, family: Family) -> list[nn.Module]:
    return [getattr(pipeline, encoder.part) for encoder in family.encoders]


def _text_weights(
    encoders: Sequence[nn.Module], denoiser: nn.Module, reader: Sequence[str]
) -> Iterator[tuple[str, torch.Tensor]]:
    for number, encoder in enumerate(encoders):
        for name, weight in _named_weights(encoder):
            yield f"{number}.{name}" if number else name, weight
    for number, module in enumerate(reader_modules(denoiser, reader)):
        for name, weight in _named_weights(module):
            yield f"reader {number}.{name}", weight


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
