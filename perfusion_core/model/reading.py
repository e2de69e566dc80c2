"""What the cross-attention projections read, from what the denoiser is given.

A denoiser may change a text before its projections read it, the same way for each image and time (PixArt's
caption projection). i*, the covariance and the gates live in what they read.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.func import functional_call

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence


def as_read(denoiser: Any, reader: Sequence[str], given: Tensor) -> Tensor:
    """`given` as the projections read it, in float32 whatever the denoiser's precision; differentiable.

    `reader` are the paths of the denoiser's modules that the text passes, in order. Shape: given (B, T, D')
    -> (B, T, D), on the device of `given`; `given` itself where no module changes it.
    """
    read = given
    for module in reader_modules(denoiser, reader):
        weights = {name: weight.float() for name, weight in module.named_parameters()}
        device = next(iter(weights.values())).device if weights else read.device
        with torch.autocast(device.type, enabled=False):
            read = functional_call(module, weights, (read.to(device, torch.float32),))
    return read.to(given.device)


def reader_modules(denoiser: Any, reader: Sequence[str]) -> Iterator[nn.Module]:
    """The modules at these paths, without those that this denoiser was built without."""
    plain = getattr(denoiser, "_orig_mod", denoiser)  # under torch.compile
    for path in reader:
        module = getattr(plain, path, None)
        if isinstance(module, nn.Module):
            yield module
