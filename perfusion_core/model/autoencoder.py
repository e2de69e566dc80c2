"""How an autoencoder is kept beside a denoiser: in which precision, and whether it takes images in tiles."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

from perfusion_core.model.device_memory import RESERVE_GIB

if TYPE_CHECKING:
    from perfusion_core.model.families.description import Family

_CODING_AT = 1024  # pixels; what `Family.coding` is given for
_TILE = 512  # pixels


def precision_beside(family: Family, vae: Any, dtype: torch.dtype) -> torch.dtype:
    """The autoencoder's precision beside a denoiser in `dtype`: float32 where its numbers overflow that."""
    forced = family.full_decoder == "always" or (
        family.full_decoder == "configured" and bool(getattr(vae.config, "force_upcast", False))
    )
    return torch.float32 if forced and dtype == torch.float16 else dtype


def has_room(family: Family, image_size: int, dtype: torch.dtype, room: float) -> bool:
    """Whether the autoencoder in `dtype` takes a square image of `image_size` pixels whole in `room` GiB."""
    full, half = family.coding
    needed = (full if dtype == torch.float32 else half) * (image_size / _CODING_AT) ** 2
    return needed + RESERVE_GIB <= room


def take_tiles(vae: Any) -> None:
    """Have the autoencoder take images of more than 512 pixels in tiles that overlap: less memory at a time.

    Seams are blended, but pixels differ a little from those of a whole image.
    """
    if not hasattr(vae, "use_tiling"):
        return
    vae.enable_tiling()
    if hasattr(vae, "tile_latent_min_size"):  # as large as its own images, of which nothing would be cut
        factor = vae.tile_sample_min_size // vae.tile_latent_min_size
        vae.tile_sample_min_size, vae.tile_latent_min_size = _TILE, _TILE // factor
