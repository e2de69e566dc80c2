"""An image's recipe as the values of the Create form, and what of it the form cannot give back."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from perfusion_core.edit.choices import DEFAULT_REMOVAL, Lock, Removal
from perfusion_core.model.schedulers import OWN
from perfusion_core.sampling.operating_points import bias_to_slider, default_bias
from perfusion_core.sampling.png import ImageRecipe
from perfusion_core.sampling.request import LARGEST_SEED, LONGEST_PROMPT, SIDES
from perfusion_core.studio.creating.mentions import without_numbers
from perfusion_core.studio.known_loras import hash_of, known_loras
from perfusion_core.ui.create.form_values import MOST_GUIDANCE, MOST_STEPS, SCHEDULERS, SIDE_STEP, bias_at

if TYPE_CHECKING:
    from perfusion_core.model.lora_files import ChosenLora
    from perfusion_core.sampling.png import ForeignRecipe
    from perfusion_core.studio.app import Studio

# The form has no choice of removal or temperature: it takes this removal and each concept's own temperature.
FORM_REMOVAL: Removal = DEFAULT_REMOVAL
SPOKEN = {"steps": "Steps", "guidance": "Guidance", "width": "Width", "height": "Height"}
NO_GUIDANCE = 1.0
MOST = {"steps": MOST_STEPS, "guidance": MOST_GUIDANCE, "width": SIDES[1], "height": SIDES[1]}


@dataclass(frozen=True)
class RestoredForm:
    """`values` by the fields of `GenerationForm`; `positions` of the sliders (0..100) by concept; `lost`:
    what would differ, a sentence each. With nothing lost, Create makes the same image again.
    """

    prompt: str
    values: dict[str, Any]
    positions: dict[str, int]
    lost: list[str]


def restored_form(recipe: ImageRecipe | ForeignRecipe, studio: Studio) -> RestoredForm:
    """The form for `recipe` on this studio's base model and library."""
    lock = recipe.lock if isinstance(recipe, ImageRecipe) else "local"
    values = form_values(recipe)
    prompt, lost = values.pop("prompt"), _out_of_bounds(recipe, values, studio)
    positions: dict[str, int] = {}
    if isinstance(recipe, ImageRecipe):
        biases = {
            used.name: used.bias
            for used in recipe.concepts
            if not _close(used.bias, _own_bias(studio, used.name, lock))  # where the slider opens by itself
        }
        positions = {name: round(100 * bias_to_slider(bias, lock)) for name, bias in biases.items()}
        prompt = _with_exact(without_numbers(prompt), biases, positions, lock)
        lost += _differing(recipe, studio)
    if not prompt.strip():
        lost.append("Prompt: there is none in the image; Create needs one.")
    for field, text in (("Prompt", prompt), ("Negative prompt", values["negative_prompt"])):
        if len(text) > LONGEST_PROMPT:
            lost.append(f"{field}: {len(text)} characters in the image; Create takes {LONGEST_PROMPT}.")
    return RestoredForm(prompt, values, positions, lost)


def form_values(recipe: ImageRecipe | ForeignRecipe) -> dict[str, Any]:
    """A recipe's own values by field, the prompt among them; what it does not say is left to the base model.

    The seed is text, which holds any whole number exactly.
    """
    scheduler = getattr(recipe, "scheduler", "")
    return {
        "prompt": recipe.prompt,
        "negative_prompt": recipe.negative_prompt,
        "seed": str(recipe.seed or 0),
        "count": 1,
        "steps": recipe.steps or 0,
        # 0 in the form is the base's own; an image without any was made with 0 to 1, which are the same.
        "guidance": 0.0 if recipe.guidance is None else recipe.guidance or NO_GUIDANCE,
        "width": recipe.width or 0,
        "height": recipe.height or 0,
        "scheduler": scheduler if scheduler in SCHEDULERS.values() else "",
        "lock": getattr(recipe, "lock", "local"),
    }


def _out_of_bounds(recipe: ImageRecipe | ForeignRecipe, values: dict[str, Any], studio: Studio) -> list[str]:
    """Bring `values` into the form's bounds; says what was changed."""
    lost: list[str] = []
    for field, most in MOST.items():
        value = values[field]
        values[field] = min(max(value, 0), most) if math.isfinite(value) else 0
        if values[field] != value:
            lost.append(f"{SPOKEN[field]}: {value:g} in the image; Create goes to {most}.")
    step = SIDE_STEP if studio.base is None else studio.base.description.size_step
    for field in ("width", "height"):
        value = values[field]  # 0: the base's own
        values[field] = _drawn_side(value, step) if value else 0
        if values[field] != value == getattr(recipe, field):  # else too large, which is said
            takes = f"{SIDES[0]} or more" if value < SIDES[0] else f"multiples of {step}"
            lost.append(f"{SPOKEN[field]}: {value} in the image; Create takes {takes}.")
    if not 0 <= int(values["seed"]) <= LARGEST_SEED:
        lost.append(f"Seed: {values['seed'][:40]} in the image; Create takes 0 to {LARGEST_SEED}.")
        values["seed"] = "0"
    named = getattr(recipe, "scheduler", "") or getattr(recipe, "sampler", "")
    if named and named != OWN and not values["scheduler"]:
        lost.append(f"Scheduler: “{named}” in the image; Create takes the base model's own.")
    return lost


def _drawn_side(side: int, step: int) -> int:
    """The largest side up to this one that can be drawn, else the smallest there is; in pixels."""
    return max(side // step, -(-SIDES[0] // step)) * step


def _with_exact(prompt: str, biases: dict[str, float], positions: dict[str, int], lock: str) -> str:
    """The prompt, with the gate bias written into it for each concept whose slider cannot stand there."""
    for name, bias in biases.items():
        if not _close(bias_at(positions[name], lock), bias):
            mention = re.compile(re.escape(f"<{name}>"), re.IGNORECASE)
            prompt = mention.sub(lambda found, bias=bias: f"{found[0][:-1]}:{bias!r}>", prompt)
    return prompt


def _own_bias(studio: Studio, name: str, lock: Lock) -> float:
    """The gate bias that a concept has while its slider was not moved."""
    entry = studio.library.find(name)
    recommended = entry.metadata.bias if entry is not None else {}
    return recommended.get(lock, default_bias(lock))


def _close(one: float, other: float) -> bool:
    return math.isclose(one, other, abs_tol=1e-9)


def _differing(recipe: ImageRecipe, studio: Studio) -> list[str]:
    """What of the base model, its LoRAs, the concepts and the gate is not as it was for the image."""
    lost = _other_base(recipe, studio) + _other_loras(recipe, studio)
    if recipe.concepts and recipe.removal != FORM_REMOVAL:
        lost.append(f"Removal: “{recipe.removal}” in the image; Create uses “{FORM_REMOVAL}”.")
    for used in recipe.concepts:
        entry = studio.library.find(used.name)
        if entry is None:
            lost.append(f"<{used.name}> is not in the library: teach or import it first.")
            continue
        if entry.load().content_hash != used.content_hash:
            lost.append(f"<{used.name}> in the library is another concept, or was taught again since.")
        own = entry.metadata.temperature
        if own != used.temperature:
            lost.append(
                f"Gate temperature of <{used.name}>: {used.temperature:g} in the image; Create uses the "
                f"concept's own, {own:g}."
            )
    return lost


def _other_loras(recipe: ImageRecipe, studio: Studio) -> list[str]:
    in_use = studio.settings.loras
    found, missing = known_loras(studio.settings, recipe.loras, [lora.file for lora in in_use])
    if missing:
        there = f"Put it into {studio.settings.loras_folder}, and load this picture again."
        return [f"{sentence[0].upper()}{sentence[1:]}. {there}" for sentence in missing]
    if [(hash_of(lora.file), lora.weight) for lora in found] == [
        (hash_of(lora.file), lora.weight) for lora in in_use if lora.weight
    ]:
        return []
    return [f"LoRAs: {_named(found)} in the image; {_named(in_use)} in use. Settings changes them."]


def _named(loras: Sequence[ChosenLora]) -> str:
    return ", ".join(f"{lora.file.stem} {lora.weight:g}" for lora in loras) or "none"


def _other_base(recipe: ImageRecipe, studio: Studio) -> list[str]:
    """Whether weights, device or precision of the base differ; before it is loaded, whether its name does."""
    base = studio.base
    if base is None:
        same, here = recipe.base == studio.settings.base, studio.settings.base
    else:
        same, here = recipe.base_fingerprint == base.fingerprint, base.id
    if not same:
        there = recipe.base if recipe.base != here else "another version of it"
        return [f"Base model: {there} in the image; {here} is in use."]
    if base is None:
        return []
    made = (recipe.device, recipe.precision)
    now = (base.device.type, str(base.dtype).removeprefix("torch."))
    if made == now:
        return []
    return [f"Computed on {made[0]} in {made[1]}; here on {now[0]} in {now[1]}, so pixels differ a little."]
