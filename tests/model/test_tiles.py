"""Autoencoders take images in tiles where a card is too small for a whole one beside the weights."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

import perfusion_core.model.base as base_module
from perfusion_core.model.autoencoder import has_room, take_tiles
from perfusion_core.model.base import Base
from perfusion_core.model.device_memory import weights_gib
from perfusion_core.model.families.sdxl import SDXL
from perfusion_core.model.latents import latents_of, pixels_of
from tests.tiny_families import tiny_family


def calls(module: Any) -> list[tuple[int, ...]]:
    """The sizes of what the module is given, filled call by call."""
    found: list[tuple[int, ...]] = []
    module.register_forward_pre_hook(lambda _m, given: found.append(tuple(given[0].shape[-2:])))
    return found


@pytest.mark.parametrize(
    ("kind", "side", "factor"), [("sd", 640, 8), ("sdxl", 640, 8), ("sana", 640, 4), ("cosmos", 320, 8)]
)
@torch.no_grad()
def test_tiles_are_at_most_512_pixels_and_nearly_make_the_whole(kind: str, side: int, factor: int) -> None:
    vae = tiny_family(kind).vae
    # Alike everywhere: norms are taken over what the autoencoder is given, a tile or the whole.
    wave = torch.sin(torch.arange(side) / 9)
    pixels = (wave[:, None] * wave).expand(1, 3, side, side)
    whole = latents_of(vae, pixels)
    image = pixels_of(vae, whole)
    take_tiles(vae)
    encoded, decoded = calls(vae.encoder), calls(vae.decoder)
    tiled = latents_of(vae, pixels)
    again = pixels_of(vae, whole)
    assert len(encoded) > 1
    assert len(decoded) > 1
    assert max(max(sizes) for sizes in encoded) <= 512
    assert max(max(sizes) for sizes in decoded) <= 512 // factor
    for found, expected in ((tiled, whole), (again, image)):
        assert found.shape == expected.shape
        correlation = np.corrcoef(found.flatten().numpy(), expected.flatten().numpy())[0, 1]
        assert correlation > 0.9


@pytest.mark.parametrize(
    ("dtype", "size", "room", "whole"),
    [
        (torch.float32, 1024, 3.9, False),
        (torch.float32, 1024, 4.0, True),
        (torch.float16, 1024, 2.4, False),
        (torch.float16, 1024, 2.5, True),
        (torch.float32, 512, 1.7, False),
        (torch.float32, 512, 1.75, True),
    ],
)
def test_room_for_a_whole_image_of_sdxl(dtype: torch.dtype, size: int, room: float, whole: bool) -> None:
    assert has_room(SDXL, size, dtype, room) == whole


def test_the_size_of_the_card_decides_not_what_is_free_on_it(monkeypatch: pytest.MonkeyPatch) -> None:
    assert not Base("on a CPU", tiny_family("sdxl")).vae.use_tiling
    pipe = tiny_family("sdxl")
    weights = weights_gib([pipe.unet, pipe.vae, pipe.text_encoder, pipe.text_encoder_2])
    needed = SDXL.coding[0] * (64 / 1024) ** 2 + 1.0  # 1 GiB in reserve
    for card, expected in ((weights + needed * 0.999, True), (weights + needed * 1.001, False)):
        monkeypatch.setattr(base_module, "card_gib", lambda _device, card=card: card)
        assert Base("on a card", tiny_family("sdxl")).vae.use_tiling == expected
