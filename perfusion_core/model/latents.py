"""Between images and the latents that a denoiser sees, by what the autoencoder's configuration says."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor


def latents_of(vae: Any, pixels: Tensor) -> Tensor:
    """Images, -1..1, as latents scaled for the denoiser, in float32. Shape: (B, 3, H, W) -> (B, C, h, w).

    The mean of the encoder's distribution: its spread is far below what one sees.
    """
    frames = _takes_frames(vae)
    pixels = pixels.unsqueeze(2) if frames else pixels
    encoded = vae.encode(pixels.to(vae.device, vae.dtype))
    if hasattr(encoded, "latent_dist"):
        found = encoded.latent_dist.mode()
    else:  # autoencoders without a distribution: a tiny one, a deep-compression one
        found = encoded.latents if hasattr(encoded, "latents") else encoded.latent
    found = (found.squeeze(2) if frames else found).float()
    mean, spread, shift = _statistics(vae, found)
    return (found - mean - shift) * (_scale(vae) / spread)


def pixels_of(vae: Any, latents: Tensor) -> Tensor:
    """The reverse: images, about -1..1, in float32. Shape: (B, C, h, w) -> (B, 3, H, W)."""
    mean, spread, shift = _statistics(vae, latents)
    scaled = (latents.to(vae.dtype) * spread / _scale(vae) + mean + shift).to(vae.dtype)
    if _takes_frames(vae):
        return vae.decode(scaled.unsqueeze(2), return_dict=False)[0].squeeze(2).float()
    return vae.decode(scaled, return_dict=False)[0].float()


def _takes_frames(vae: Any) -> bool:
    """Whether it is one of videos (B, C, F, H, W), in which an image is one frame: it joins frames then."""
    return getattr(vae.config, "temperal_downsample", None) is not None  # spelled so by diffusers


def _scale(vae: Any) -> float:
    return float(getattr(vae.config, "scaling_factor", None) or 1.0)


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
