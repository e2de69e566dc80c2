"""Muon turns a gradient into a half-orthogonal step."""

from __future__ import annotations

import torch

from tools.pocket import optimiser
from tools.pocket.optimiser import Muon, Pair, orthogonalised


def test_orthogonalised_update_has_singular_values_near_one() -> None:
    torch.manual_seed(0)
    for shape in ((16, 64), (64, 16)):
        values = torch.linalg.svdvals(orthogonalised(torch.randn(shape)).float())
        assert values.min() > 0.6
        assert values.max() < 1.3


def test_muon_step_lowers_a_convolution_loss() -> None:
    torch.manual_seed(0)
    layer, x = torch.nn.Conv2d(3, 8, 3), torch.randn(4, 3, 8, 8)
    optimiser = Muon([layer.weight], lr=0.01)
    before = layer(x).square().mean()
    before.backward()
    optimiser.step()
    assert layer(x).square().mean() < before


def test_pair_gives_every_weight_to_exactly_one_optimiser_and_restores() -> None:
    network = torch.nn.Sequential(torch.nn.Conv2d(3, 8, 3), torch.nn.GroupNorm(2, 8))
    pair = Pair(network, 0.01, muon=True)
    owned = [weight for part in pair.parts for group in part.param_groups for weight in group["params"]]
    assert len(owned) == len(list(network.parameters())) == len({id(weight) for weight in owned})
    network(torch.randn(2, 3, 8, 8)).square().mean().backward()
    pair.step(0.01)
    fresh = Pair(network, 0.01, muon=True)
    fresh.load_state_dict(pair.state_dict())
    assert torch.equal(
        fresh.parts[1].state[network[0].weight]["momentum"],
        pair.parts[1].state[network[0].weight]["momentum"],
    )


def test_matrices_turned_together_are_turned_as_each_by_itself() -> None:
    torch.manual_seed(0)
    several = torch.randn(3, 8, 20)
    whole = orthogonalised(several)
    for one, turned in zip(several, whole, strict=True):
        torch.testing.assert_close(orthogonalised(one).float(), turned.float(), rtol=1e-3, atol=1e-3)


def test_wide_matrices_are_turned_as_others_are() -> None:
    torch.manual_seed(0)
    wide = torch.randn(12, 60)
    small = wide / wide.norm()
    for _ in range(5):
        small = optimiser._polynomial(small @ small.mT) @ small
    # In bf16, where the device computes in it: five rounds of products of 8 bits each.
    torch.testing.assert_close(orthogonalised(wide).float(), small, rtol=0, atol=6e-2)
