"""How many examples of a training step fit into memory at once, from peaks of activations."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from perfusion_core.model.device_memory import RESERVE_GIB

# GiB by batch size, of Stable Diffusion 1.5's denoiser at 512 pixels in half precision: activations that the
# backward pass needs, without the weights. Between two sizes they grow linearly.
_MEASURED = ((1, 1.4), (2, 2.4), (4, 4.2), (16, 15.4))
_MEASURED_CHECKPOINTED = ((1, 0.7), (2, 1.0), (4, 1.5), (16, 4.3))
_MEASURED_AT = 512  # pixels; activations grow with the number of pixels
# Of other families only what one example at 1024 pixels keeps for the backward pass is known, computed from
# shapes by `benchmarks.teach_memory`; the same count for Stable Diffusion 1.5 gives 0.69 and 2.74 for one and
# four examples (checkpointed 0.19 and 0.76), and the peaks above are these times 1.4 and 0.45 more.
_COMPUTED_AT = 1024
_PEAK, _MORE = 1.4, 0.45


class Fit(NamedTuple):
    """`batch_size * accumulation` is the number of examples a step was to see."""

    batch_size: int
    accumulation: int
    gradient_checkpointing: bool


def fit(
    free: float,
    resolution: int,
    examples: int,
    *,
    full_precision: bool = False,
    kept: tuple[float, float] | None = None,
) -> Fit:
    """The fastest way of computing a step of `examples` with `free` GiB beside the weights.

    The largest batch that fits as it is; where not even one example does, as many as fit with checkpointing,
    which computes the forward pass twice. `kept`: GiB that one example keeps for the backward pass at 1024
    pixels in half precision, as it is and with checkpointing; None for Stable Diffusion, which was measured.
    `resolution`: the side of the square image in pixels.
    """
    for checkpointing in (False, True):
        for size in (16, 8, 4, 2, 1):
            if kept is None:
                peak = _measured(size, resolution, checkpointing, full_precision)
            else:
                peak = _computed(kept[checkpointing], size, resolution, full_precision)
            if examples % size == 0 and peak + RESERVE_GIB <= free:
                return Fit(size, examples // size, checkpointing)
    return Fit(1, examples, True)


def _measured(size: int, resolution: int, checkpointing: bool, full_precision: bool) -> float:
    """The peak of a Stable Diffusion's activations in GiB."""
    sizes, peaks = zip(*(_MEASURED_CHECKPOINTED if checkpointing else _MEASURED), strict=True)
    at_512 = float(np.interp(size, sizes, peaks))
    return at_512 * (resolution / _MEASURED_AT) ** 2 * (2 if full_precision else 1)


def _computed(each: float, size: int, resolution: int, full_precision: bool) -> float:
    """The same of another family. `each`: GiB kept for one example."""
    scale = (resolution / _COMPUTED_AT) ** 2 * (2 if full_precision else 1)
    return peak_of(each * size * scale)


def peak_of(kept: float) -> float:
    """The peak in GiB of a pass that keeps so many GiB for the backward pass, by what was measured."""
    return _PEAK * kept + _MORE
