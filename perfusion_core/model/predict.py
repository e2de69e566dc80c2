"""One call of the denoiser, whatever its family asks for beside noisy latents and time."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import Tensor

from perfusion_core.model.families.description import TextInputs

if TYPE_CHECKING:
    from perfusion_core.model.base import Base

__all__ = ["TextInputs", "predict"]


def predict(base: Base, noisy: Tensor, times: Tensor, text: TextInputs) -> Tensor:
    """What the base predicts, in the denoiser's precision.

    Shape: noisy (B, C, h, w), times (B,) as the denoiser counts them -> (B, C, h, w).
    """
    denoiser, factor = base.denoiser, base.description.vae_factor
    size = (noisy.shape[-2] * factor, noisy.shape[-1] * factor)
    told = base.family.arguments(base.pipeline, text, size)
    given = noisy.to(denoiser.dtype)
    if base.family.frames:
        found = denoiser(given.unsqueeze(2), timestep=times, **told).sample.squeeze(2)
    else:
        found = denoiser(given, timestep=times, **told).sample
    return found[:, : noisy.shape[1]]  # what follows is a learned variance, which no pipeline uses
