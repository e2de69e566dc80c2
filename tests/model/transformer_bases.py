"""Tiny bases whose denoiser is a transformer, and how the tests of their switches call them."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from perfusion_core.model.applied import applied
from perfusion_core.model.base import Base
from tests.tiny_concept import random_concept, random_inverse_covariance
from tests.tiny_families import plain_options, tiny_family

PLAIN, TAUGHT = "a photo of a dog on the beach", "a photo of a <biscuit> on the beach"
SHUT = {"biases": {"biscuit": 50.0}}
KINDS = ("pixart-alpha", "pixart-sigma", "sana", "sana-sprint", "cosmos")


def base_of(kind: str) -> Base:
    return Base(kind, tiny_family(kind))


def draw(base: Base, prompt: Any = TAUGHT, pipe: Any = None, **settings: Any) -> np.ndarray[Any, Any]:
    generator = torch.Generator().manual_seed(0)
    options = {**plain_options(base.id), "generator": generator, **settings}
    return np.asarray((pipe or base.pipeline)(prompt, **options).images)


def edited(base: Base, pipe: Any = None, **settings: Any) -> Any:
    """`applied` with a concept of this base."""
    inverse = random_inverse_covariance(base.description.text_width)
    concept = settings.pop("concept", None) or random_concept(base)
    return applied(pipe or base.pipeline, [concept], inverse_covariance=inverse, **settings)
