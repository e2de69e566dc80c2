"""The decoder's lessons: windows on things, latents spoiled within bounds, the encoder untouched."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from tools.pocket.denoiser import build_unet
from tools.pocket.render import Batch, Renderer
from tools.pocket.train_decoder import CELL, GRID, Spoiler, decoder_learner, windows


@pytest.fixture(scope="module")
def batch(work: Path) -> Batch:
    """Four rendered scenes."""
    return Renderer(work).scenes(np.random.default_rng(0), 4)


def _places() -> torch.Tensor:
    """Latents that say where they are: channel 0 the row, channel 1 the column."""
    row, column = torch.meshgrid(torch.arange(GRID), torch.arange(GRID), indexing="ij")
    return torch.stack([row, column]).float().expand(4, 2, GRID, GRID)


def test_a_window_cuts_latents_and_pictures_at_the_same_place(batch: Batch) -> None:
    window = windows(_places(), batch, np.random.default_rng(1), size=6, things=3.0)
    assert window.images.shape == (4, 3, 6 * CELL, 6 * CELL)
    for row in range(4):
        top, left = (int(v) * CELL for v in window.latents[row, :, 0, 0])
        true = batch.images[row, :, top : top + 6 * CELL, left : left + 6 * CELL] * 2 - 1
        assert torch.equal(window.images[row], true)


def test_windows_look_at_things_more_than_pictures_do(batch: Batch) -> None:
    mass = [
        windows(_places(), batch, np.random.default_rng(seed), size=6, things=3.0).weights.mean()
        for seed in range(8)
    ]
    inner = (4 / 6) ** 2  # the rim of one cell does not count
    assert float(torch.stack(mass).mean()) / inner > 1.2 * float(
        windows(_places(), batch, np.random.default_rng(0), GRID, 3.0).weights.mean()
    )


def test_the_rim_of_a_window_does_not_count_and_that_of_a_whole_picture_does(batch: Batch) -> None:
    part = windows(_places(), batch, np.random.default_rng(0), size=6, things=3.0).weights
    whole = windows(_places(), batch, np.random.default_rng(0), size=GRID, things=3.0).weights
    assert float(part[..., :CELL, :].abs().max()) == 0 == float(part[..., -CELL:].abs().max())
    assert float(part[..., CELL:-CELL, CELL:-CELL].min()) >= 1
    assert float(whole.min()) >= 1


def test_spoiled_latents_come_again_and_stay_near() -> None:
    spoil = Spoiler(None, torch.device("cpu"), noise=0.1, latest=200)
    latents = torch.randn(6, 8, GRID, GRID)
    first, second = (spoil(latents, None, np.random.default_rng(3)) for _ in range(2))
    assert torch.equal(first, second)
    apart = (first - latents).square().mean((1, 2, 3)).sqrt()
    assert 0 < float(apart.max()) < 0.11


def test_only_the_decoder_learns() -> None:
    learns = {name for name, weight in decoder_learner().named_parameters() if weight.requires_grad}
    assert learns
    assert all(name.startswith(("decoder.", "post_quant_conv.")) for name in learns)


def test_half_of_the_latents_are_the_unets_guesses() -> None:
    unet = build_unet(block_out_channels=(16, 16, 32), layers_per_block=1)
    latents, states = torch.randn(4, 8, GRID, GRID), torch.randn(4, 64, 256)
    spoil = Spoiler(unet, torch.device("cpu"), noise=0.0, latest=200)
    spoiled = spoil(latents, states, np.random.default_rng(0))
    assert torch.equal(spoiled[2:], latents[2:])
    assert (spoiled[:2] - latents[:2]).abs().max() > 1e-3
