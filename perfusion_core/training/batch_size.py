"""How many examples of a training step fit into memory at once, from measured peaks of activations."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

# GiB by batch size, of Stable Diffusion 1.5's denoiser at 512 pixels in half precision: activations that the
# backward pass needs, without the weights. Between two sizes they grow linearly.
# Checkpointed it is 0.7 for one example, 1.5 for four.
_MEASURED = ((1, 1.4), (2, 2.4), (4, 4.2), (16, 15.4))
_MEASURED_AT = 512  # pixels; activations grow with the number of pixels
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


def fit(free: float, resolution: int, examples: int, *, full_precision: bool = False) -> Fit:
    """The fastest way of computing a step of `examples` with `free` GiB beside the weights.

    The largest batch that fits as it is; where not even one example does, one at a time with checkpointing,
    which computes the forward pass twice.
    """
    for size in (16, 8, 4, 2, 1):
        need = activations(size, resolution, full_precision=full_precision)
        if examples % size == 0 and need + _RESERVE <= free:
            return Fit(size, examples // size, False)
    return Fit(1, examples, True)
