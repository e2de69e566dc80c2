"""Generating an image again from its recipe, or saying why it would differ."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import torch

from perfusion_core.container import shown
from perfusion_core.prompt_grammar import without_numbers
from perfusion_core.sampling.generator import Generation, generate
from perfusion_core.sampling.png import ImageRecipe
from perfusion_core.sampling.request import GenerationRequest

if TYPE_CHECKING:
    from perfusion_core.concept import Concept
    from perfusion_core.model.base import Base


def request_from(recipe: ImageRecipe) -> GenerationRequest:
    """The request that makes a recipe's image again, given the same base and concepts."""
    temperatures = {concept.temperature for concept in recipe.concepts}
    return GenerationRequest(
        # Biases as stored, not as printed in the prompt, which shows fewer digits.
        prompt=without_numbers(recipe.prompt),
        negative_prompt=recipe.negative_prompt,
        seed=recipe.seed,
        steps=recipe.steps,
        guidance=recipe.guidance,
        width=recipe.width,
        height=recipe.height,
        scheduler=recipe.scheduler,
        lock=recipe.lock,
        removal=recipe.removal,
        temperature=temperatures.pop() if len(temperatures) == 1 else None,
        biases={concept.name: concept.bias for concept in recipe.concepts},
    )


def differences(recipe: ImageRecipe, base: Base, concepts: Mapping[str, Concept]) -> list[str]:
    """What differs here from the recipe, in plain sentences; empty when the image can be repeated."""
    found: list[str] = []
    if recipe.base_fingerprint != base.fingerprint:
        same_name = "that of the image" if recipe.base == base.id else recipe.base
        found.append(f"the base model is {base.id}, and its weights are not those of {same_name}")
    by_name = {concept.name.casefold(): concept for concept in concepts.values()}
    for used in recipe.concepts:
        here = by_name.get(used.name.casefold())
        if here is None:
            found.append(f"there is no concept <{used.name}>")
        elif here.content_hash != used.content_hash:
            found.append(f"<{used.name}> is another concept, or was taught again since")
    found += _other_loras(recipe, base)
    precision, device = str(base.dtype).removeprefix("torch."), torch.device(base.device).type
    if (precision, device) != (recipe.precision, recipe.device):
        found.append(
            f"it is computed on {device} in {precision}, not on {recipe.device} in {recipe.precision}"
        )
    return found


def _other_loras(recipe: ImageRecipe, base: Base) -> list[str]:
    here = {lora.content_hash: lora for lora in base.loras}
    found: list[str] = []
    for used in recipe.loras:
        lora = here.pop(used.content_hash, None)
        if lora is None:
            found.append(f"the LoRA {shown(used.name)} ({used.content_hash[:12]}) is not on the base model")
        elif lora.weight != used.weight:
            found.append(f"the LoRA {lora.name} has weight {lora.weight:g}, not {used.weight:g}")
    return found + [f"the LoRA {lora.name} is on the base model, and was not then" for lora in here.values()]


def repeat(base: Base, concepts: Mapping[str, Concept], recipe: ImageRecipe, **options: Any) -> Generation:
    """Generate a recipe's image again; bit-identical on a CPU when `differences` finds none.

    `options` are those of `generate`.
    """
    made = generate(base, concepts, request_from(recipe), **options)
    images = [
        replace(image, recipe=image.recipe.model_copy(update={"prompt": recipe.prompt}))
        for image in made.images
    ]
    return replace(made, images=images)
