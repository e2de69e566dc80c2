"""How many steps, how much guidance and which scheduler: the defaults of each base in one place."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from perfusion_core.model.base import Base


@dataclass(frozen=True)
class SamplingDefaults:
    """What is used where a request says nothing."""

    scheduler: str
    steps: int
    guidance: float


# SD-Turbo, Lightning and Hyper-SD were distilled without guidance; a consistency model has it built in, or is
# told how much through its time embedding. As their publishers use them; how many steps, the base says.
_FEW_STEPS: dict[str, tuple[str, float]] = {
    "turbo": ("euler", 0.0),
    "lightning": ("euler", 0.0),
    "hyper": ("ddim", 0.0),
    "lcm": ("lcm", 1.0),
}
_GUIDANCE_OF_EMBEDDED = 8.0
_OWN = "own"
_SMALL_IMAGE = 256


def sampling_defaults(base: Base) -> SamplingDefaults:
    """The defaults of `base`."""
    few, family = base.few_steps, base.family
    if few is not None and few.kind in _FEW_STEPS:
        scheduler, guidance = _FEW_STEPS[few.kind]
        if family.schedulers is not None and scheduler not in family.schedulers:
            scheduler = _OWN
        return SamplingDefaults(
            scheduler, few.steps, _GUIDANCE_OF_EMBEDDED if few.guidance_embedded else guidance
        )
    small = base.description.image_size < _SMALL_IMAGE
    return SamplingDefaults(*((small and base.family.small_sampling) or base.family.sampling))
