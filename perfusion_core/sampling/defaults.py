"""How many steps, how much guidance and which scheduler: the defaults of each base in one place."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from perfusion_core.model.base import BaseModel


@dataclass(frozen=True)
class SamplingDefaults:
    """What is used where a request says nothing."""

    scheduler: str
    steps: int
    guidance: float


_POCKET = SamplingDefaults(scheduler="ddim", steps=20, guidance=3.0)
_STABLE_DIFFUSION = SamplingDefaults(scheduler="dpm++", steps=25, guidance=7.5)
_SMALL_IMAGE = 256  # bases that draw no larger were trained here and want less guidance


def sampling_defaults(base: BaseModel) -> SamplingDefaults:
    """The defaults of `base`."""
    return _POCKET if base.description.image_size < _SMALL_IMAGE else _STABLE_DIFFUSION
