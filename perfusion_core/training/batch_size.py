"""How many examples of a training step fit into memory at once, from peaks of activations."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

# GiB by batch size, of Stable Diffusion 1.5's denoiser at 512 pixels in half precision: activations that the
# backward pass needs, without the weights. Between two sizes they grow linearly.
# Checkpointed it is 0.7 for one example, 1.5 for four.
_MEASURED = ((1, 1.4), (2, 2.4), (4, 4.2), (16, 15.4))
_MEASURED_AT = 512  # pixels; activations grow with the number of pixels
# Of other families only what one example at 1024 pixels keeps for the backward pass is known, computed from
# shapes by `benchmarks.teach_memory`; the same count for Stable Diffusion 1.5 gives 0.69 and 2.74 for one and
# four examples (checkpointed 0.19 and 0.76), and the peaks above are these times 1.4 and 0.45 more.
_COMPUTED_AT = 1024
_PEAK, _MORE = 1.4, 0.45
_RESERVE = 1.0  # GiB for the scorer, the segmenter and what fragmentation loses


class Fit(NamedTuple):
    """`batch_size * accumulation` is the number of examples a step was to see."""

    batch_size: int
    accumulation: int
    gradient_checkpointing: bool


def activations(batch_size: int, resolution: int, *, full_precision: bool = False) -> float:
    """The peak of activations in GiB. `resolution` is the side of the square image in pixels."""
    sizes, peaks = zip(*_MEASURED, strict=True)
    at_512 = float(np.interp(batch_size, sizes, peaks))
    return at_512 * (resolution / _MEASURED_AT) ** 2 * (2 if full_precision else 1)


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
    """
    if kept is None:
        return _measured_fit(free, resolution, examples, full_precision)
    scale = (resolution / _COMPUTED_AT) ** 2 * (2 if full_precision else 1) * _PEAK
    for size, checkpointing, each in ((n, c, kept[c]) for c in (False, True) for n in (16, 8, 4, 2, 1)):
        if examples % size == 0 and each * size * scale + _MORE + _RESERVE <= free:
            return Fit(size, examples // size, checkpointing)
    return Fit(1, examples, True)


def _measured_fit(free: float, resolution: int, examples: int, full_precision: bool) -> Fit:
    for size in (16, 8, 4, 2, 1):
        need = activations(size, resolution, full_precision=full_precision)
        if examples % size == 0 and need + _RESERVE <= free:
            return Fit(size, examples // size, False)
    return Fit(1, examples, True)
