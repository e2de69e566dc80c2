"""The key of a result: a hash of everything that it depends on, by which a later run knows it again."""

from __future__ import annotations

import hashlib
import json
from typing import Any

from perfusion_core.fanout.loaded_base import BaseFacts
from perfusion_core.fanout.manifest import Line
from perfusion_core.training.recipe import Recipe

_FORMAT = 1


def teaching_key(line: Line, facts: BaseFacts) -> str:
    """Of photos, name, superclass, recipe and base with its statistics and scorer. Raises `TrainingError`."""
    return digest_of(
        {
            "name": line.name,
            "superclass": line.superclass,
            "photos": list(line.digests),
            "mask": line.mask,
            "recipe": recipe_of(line, facts).to_dict(),
            "base": base_part(facts),
        }
    )


def recipe_of(line: Line, facts: BaseFacts) -> Recipe:
    """The recipe on a device with enough memory: how a step's examples are split to fit a smaller one does
    not change what is learned. Raises `TrainingError`.
    """
    pace: Any = line.pace
    settings: dict[str, Any] = dict(line.settings)
    for name in ("templates", "validation_prompts"):
        if isinstance(settings.get(name), str):
            settings[name] = tuple(part for part in settings[name].split("\n") if part)
    return Recipe.preset(facts.description, None, pace=pace, **settings)


def batch_form(line: Line, facts: BaseFacts) -> str:
    """What concepts taught in one batch have in common (`PendingStep.form`). Raises `TrainingError`."""
    recipe = recipe_of(line, facts)
    return f"{recipe.resolution} {recipe.precision} {recipe.gradient_checkpointing}"


def base_part(facts: BaseFacts) -> list[str]:
    """What a result depends on of the base."""
    return [facts.fingerprint, facts.covariance_fingerprint, facts.scorer]


def digest_of(parts: dict[str, Any]) -> str:
    """sha256 in hex of plain data."""
    text = json.dumps({**parts, "format": _FORMAT}, sort_keys=True, ensure_ascii=False)
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
