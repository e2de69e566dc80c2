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
_STABLE_DIFFUSION = SamplingDefaults(scheduler="dpm++", steps=25, guidance=7.5)
# SD-Turbo and its relatives were distilled without guidance; a consistency model has it built in, or is told
# how much through its time embedding.
_TURBO = SamplingDefaults(scheduler="euler", steps=4, guidance=0.0)
_CONSISTENCY = SamplingDefaults(scheduler="lcm", steps=4, guidance=1.0)
_GUIDED_CONSISTENCY = SamplingDefaults(scheduler="lcm", steps=4, guidance=8.0)
_SMALL_IMAGE = 256  # bases that make no larger ones were trained here and want less guidance


def sampling_defaults(base: Base) -> SamplingDefaults:
    """The defaults of `base`."""
    facts = base.description
    if facts.distilled == "turbo":
        return _TURBO
    if facts.distilled == "lcm":
        return _GUIDED_CONSISTENCY if facts.guidance_embedded else _CONSISTENCY
    return _POCKET if facts.image_size < _SMALL_IMAGE else _STABLE_DIFFUSION
