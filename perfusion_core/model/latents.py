"""Between images and the latents that a denoiser sees, by what the autoencoder's configuration says."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor


def latents_of(vae: Any, pixels: Tensor) -> Tensor:
    """Images, -1..1, as latents scaled for the denoiser, in float32. Shape: (B, 3, H, W) -> (B, C, h, w).

    The mean of the encoder's distribution: its spread is far below what one sees.
    """
    encoded = vae.encode(pixels.to(vae.device, vae.dtype))
    if hasattr(encoded, "latent_dist"):
        found = encoded.latent_dist.mode()
    else:  # autoencoders without a distribution: a tiny one, a deep-compression one
        found = encoded.latents if hasattr(encoded, "latents") else encoded.latent
    mean, spread, shift = _statistics(vae, found.float())
    return (found.float() - mean - shift) * (vae.config.scaling_factor / spread)


def pixels_of(vae: Any, latents: Tensor) -> Tensor:
    """The reverse: images, about -1..1, in float32. Shape: (B, C, h, w) -> (B, 3, H, W)."""
    mean, spread, shift = _statistics(vae, latents)
    scaled = latents.to(vae.dtype) * spread / vae.config.scaling_factor + mean + shift
    return vae.decode(scaled.to(vae.dtype), return_dict=False)[0].float()


def _statistics(vae: Any, like: Tensor) -> tuple[Any, Any, float]:
    """Mean and spread of the raw latents, per channel where the configuration has them, and their shift."""
    config = vae.config
    means, spreads = (getattr(config, name, None) for name in ("latents_mean", "latents_std"))
    shift = float(getattr(config, "shift_factor", None) or 0.0)
    if means is None or spreads is None:
        return 0.0, 1.0, shift

    def per_channel(values: Any) -> Tensor:
        return torch.tensor(values, device=like.device, dtype=like.dtype).view(1, -1, 1, 1)

    return per_channel(means), per_channel(spreads), shift
