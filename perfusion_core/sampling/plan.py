"""A request with nothing left open: what the base, the concepts and the prompt say is filled in."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from perfusion_core.edit.choices import DEFAULT_REMOVAL, Removal
from perfusion_core.errors import PerfusionError, PromptError
from perfusion_core.model.schedulers import check_scheduler
from perfusion_core.prompt_grammar import canonical, parse_prompt, with_biases
from perfusion_core.sampling.defaults import sampling_defaults
from perfusion_core.sampling.png import FORMAT_VERSION, PLAIN_FORMAT, ImageRecipe, UsedConcept, UsedLora
from perfusion_core.sampling.request import (
    GenerationRequest,
    Row,
    concepts_in,
    resolve_biases,
)

if TYPE_CHECKING:
    from perfusion_core.concept import Concept
    from perfusion_core.model.base import Base

_MOST_GUIDANCE_IN_FEW_STEPS = 2.0  # what is recommended at most for models merged with Lightning or LCM
MADE_WITH = "Perfusion Studio"


@dataclass(frozen=True)
class Plan:
    """A request with nothing left open."""

    request: GenerationRequest
    used: dict[str, Concept]
    biases: dict[str, float]
    width: int
    height: int
    steps: int
    guidance: float
    scheduler: str
    removal: Removal
    guided: bool  # whether every image has a negative row beside its own
    warnings: list[str]


def make_plan(base: Base, concepts: Mapping[str, Concept], request: GenerationRequest) -> Plan:
    """Fill in what `request` leaves open. Raises `PerfusionError` or `PromptError` for what cannot be."""
    request = request.checked()
    defaults = sampling_defaults(base)
    used = concepts_in([request.prompt, request.negative_prompt], concepts)
    size = base.description.image_size
    width, height = request.width or size, request.height or size
    factor = base.description.size_step
    if width % factor or height % factor:
        raise PerfusionError(f"Width and height have to be multiples of {factor}; {width}x{height} is not.")
    few, in_denoiser = base.few_steps, base.family.guidance_in_denoiser
    guidance = defaults.guidance if request.guidance is None else request.guidance
    return Plan(
        request=request,
        used=used,
        biases=resolve_biases(request, used),
        width=width,
        height=height,
        steps=request.steps or defaults.steps,
        guidance=guidance,
        scheduler=check_scheduler(request.scheduler or defaults.scheduler),
        removal=request.removal or DEFAULT_REMOVAL,
        guided=guidance > 1 and not in_denoiser and not (few and few.guidance_embedded),
        warnings=_warnings(base, request, used) + without_guidance(base, guidance),
    )


def _warnings(base: Base, request: GenerationRequest, used: Mapping[str, Concept]) -> list[str]:
    said: list[str] = []
    if not used:
        said.append("The prompt names no concept, so none was used. Write one as <name>.")
    names = {canonical(name) for name in used}
    idle = [name for name in request.biases if canonical(name) not in names]
    said += [f"A bias was given for <{name}>, which is not in the prompt: concept not used." for name in idle]
    for concept in used.values():
        if concept.metadata.base_fingerprint != base.fingerprint:
            said.append(
                f"<{concept.name}> was taught on {_other(concept.metadata.base, base.id)}; it may look "
                f"different here."
            )
    return said


def without_guidance(base: Base, guidance: float) -> list[str]:
    """A warning where `guidance` is far from what a few-step base was distilled for."""
    few = base.few_steps
    if few is None or few.guidance_embedded or guidance <= _MOST_GUIDANCE_IN_FEW_STEPS:
        return []
    return [
        f"{base.id} was made to draw in {few.steps} steps without guidance, and at {guidance:g} colours burn "
        "out. Leave the guidance out."
    ]


def _other(taught_on: str, here: str) -> str:
    if taught_on == here:
        return f"another version of {here}"
    return f"{taught_on}, whose weights are not those of {here}"


def used_name(plan: Plan, name: str) -> str:
    """The canonical name of a concept the prompt names. Raises `PromptError` when it does not."""
    for used in plan.used:
        if canonical(used) == canonical(name):
            return used
    raise PromptError(
        f"The prompt does not name <{name}>, so its bias cannot be varied. Put <{name}> into it."
    )


def recipe_of(base: Base, plan: Plan, row: Row, covariance_fingerprint: str) -> ImageRecipe:
    """Everything the image of `row` depends on."""
    temperature = plan.request.temperature
    prompt = plan.request.prompt if row.prompt is None else row.prompt
    return ImageRecipe(
        format_version=FORMAT_VERSION if base.loras else PLAIN_FORMAT,
        prompt=with_biases(parse_prompt(prompt), row.biases),
        negative_prompt=plan.request.negative_prompt,
        seed=row.seed,
        steps=plan.steps,
        guidance=float(plan.guidance),
        width=plan.width,
        height=plan.height,
        scheduler=plan.scheduler,
        lock=plan.request.lock,
        removal=plan.removal,
        concepts=[
            UsedConcept(
                name=name,
                superclass=concept.superclass,
                content_hash=concept.content_hash,
                bias=row.biases[name],
                temperature=concept.metadata.temperature if temperature is None else float(temperature),
            )
            for name, concept in concepts_in([prompt, plan.request.negative_prompt], plan.used).items()
        ],
        loras=[
            UsedLora(name=lora.name, content_hash=lora.content_hash, weight=lora.weight)
            for lora in base.loras
        ],
        base=base.id,
        base_fingerprint=base.fingerprint,
        covariance_fingerprint=covariance_fingerprint,
        device=torch.device(base.device).type,
        precision=str(base.dtype).removeprefix("torch."),
        made_with=MADE_WITH,
    )
