"""Concepts with random values that fit a base model, as if they had been taught on it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

from perfusion_core.concept import Concept, ConceptMetadata
from perfusion_core.model.text import PromptEncoder

if TYPE_CHECKING:
    from perfusion_core.model.base import Base


def random_concept(
    model: Base,
    name: str = "biscuit",
    superclass: str = "dog",
    seed: int = 0,
    trained_keys: bool = False,
    **metadata: Any,
) -> Concept:
    """A concept near its superclass: its input is where its own word lands in “a photo of a <name>”."""
    generator = torch.Generator().manual_seed(seed)
    encoder = PromptEncoder(model)
    embeddings = {
        part: word.cpu() + word.std().cpu() * torch.randn(word.shape, generator=generator)
        for part, word in encoder.superclass_embeddings(superclass).items()
    }
    words = _Words(embeddings, superclass)
    found = encoder.encode([f"a photo of a <{name}>"], {name: words})
    position = found.positions[0][name][0]
    widths = model.description.output_widths

    def outputs() -> dict[str, torch.Tensor]:
        return {path: torch.randn(width, generator=generator) for path, width in widths.items()}

    facts = {
        "name": name,
        "superclass": superclass,
        "base": model.id,
        "base_fingerprint": model.fingerprint,
        "covariance_fingerprint": "none",
        "recipe": {},
        "scores": {},
        "bias": {"local": 0.68, "global": 0.5},
        "temperature": 0.15,
        "removal": "gated",
        "token_similarity": 1.0,
        "created_at": "2026-01-01T00:00:00+00:00",
        "created_by": "a test",
        **model.family.concept_facts(model.encoder_fingerprints),
    }
    return Concept(
        metadata=ConceptMetadata(**{**facts, **metadata}),
        target_input=found.encoding[0, position].cpu(),
        embedding=embeddings.pop("text_encoder"),
        superclass_encoding=None if trained_keys else found.superclass_encoding[0, position].cpu(),
        values=outputs(),
        keys=outputs() if trained_keys else None,
        further_embeddings=embeddings,
    )


def random_inverse_covariance(width: int, seed: int = 0) -> torch.Tensor:
    """Symmetric and positive definite. Shape: (width, width)."""
    generator = torch.Generator().manual_seed(seed)
    half = torch.randn(width, width, generator=generator) / width**0.5
    return half @ half.T + torch.eye(width)


class _Words:
    def __init__(self, embeddings: dict[str, torch.Tensor], superclass: str) -> None:
        self.embeddings = dict(embeddings)
        self.superclass = superclass
