"""The autoencoder's loss and figure mean what they say."""

from __future__ import annotations

import math

import torch

from tools.pocket.autoencoder import build, decibels, detail, encode, pixel_weights, reconstruction_loss


def test_decibels_of_a_known_error() -> None:
    true = torch.zeros(2, 3, 8, 8)
    assert math.isclose(decibels(true + 0.2, true), 20.0, abs_tol=1e-3)  # 0.1 of the full range


def test_loss_is_zero_only_for_the_same_picture_and_edges_weigh_more_when_asked() -> None:
    torch.manual_seed(0)
    true = torch.rand(1, 3, 16, 16)
    made = true.clone()
    made[..., 8:] += 0.1
    assert reconstruction_loss(true, true) == 0
    assert reconstruction_loss(made, true, edges=1.0) > reconstruction_loss(made, true, edges=0.1) > 0


def test_weighted_loss_counts_an_error_on_detail_more_than_on_even_ground() -> None:
    true = torch.zeros(1, 3, 64, 64)
    true[..., :32:2] = 1.0
    on_detail, on_even = true.clone(), true.clone()
    on_detail[..., 8:16, 8:16] += 0.1
    on_even[..., 8:16, 48:56] += 0.1
    weights = detail(true)
    losses = [reconstruction_loss(made, true, 0.0, weights) for made in (on_detail, on_even)]
    assert losses[0] > 1.5 * losses[1]


def test_latents_are_sixteen_square_and_scaled() -> None:
    torch.manual_seed(0)
    vae, images = build(widths=(8, 8, 8, 8)).eval(), torch.rand(9, 3, 128, 128)
    vae.register_to_config(scaling_factor=1.0)
    plain = encode(vae, images)
    vae.register_to_config(scaling_factor=2.0)
    assert plain.shape == (9, 8, 16, 16)
    assert torch.equal(encode(vae, images), 2 * plain)


def test_things_weigh_more_than_what_is_behind_them() -> None:
    covered = torch.zeros(1, 1, 32, 32)
    covered[..., :16, :] = 1
    weights = pixel_weights(torch.zeros(1, 3, 32, 32), covered, things=3.0)
    assert float(weights[..., :16, :].min()) == 4
    assert float(weights[..., 20:, :].max()) == 1
