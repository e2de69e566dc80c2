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


_POCKET = SamplingDefaults(scheduler="ddim", steps=20, guidance=3.0)
# SD-Turbo, Lightning and Hyper-SD were distilled without guidance; a consistency model has it built in, or is
# told how much through its time embedding. As their publishers use them; how many steps, the base says.
_FEW_STEPS: dict[str, tuple[str, float]] = {
    "turbo": ("euler", 0.0),
    "lightning": ("euler", 0.0),
    "hyper": ("ddim", 0.0),
    "lcm": ("lcm", 1.0),
}
_GUIDANCE_OF_EMBEDDED = 8.0
_SMALL_IMAGE = 256  # bases that make no larger ones were trained here and want less guidance


def sampling_defaults(base: Base) -> SamplingDefaults:
    """The defaults of `base`."""
    few = base.few_steps
    if few is not None:
        scheduler, guidance = _FEW_STEPS[few.kind]
        return SamplingDefaults(
            scheduler, few.steps, _GUIDANCE_OF_EMBEDDED if few.guidance_embedded else guidance
        )
    if base.description.image_size < _SMALL_IMAGE:
        return _POCKET
    return SamplingDefaults(*base.family.sampling)
