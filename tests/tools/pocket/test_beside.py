"""Another process's gradients count as much as the loop's own, and a loop without them does not wait."""

from __future__ import annotations

import time

import torch
from torch import Tensor, nn

from tools.pocket.beside import Beside, Lesson
from tools.pocket.denoiser import DEFAULT_SHAPE, build_unet
from tools.pocket.trainee import Trainee

CPU = torch.device("cpu")


def _trainee() -> Trainee:
    torch.manual_seed(0)
    unet = build_unet(DEFAULT_SHAPE, block_out_channels=(16, 16, 16), layers_per_block=1)
    return Trainee(unet, CPU, 1e-3, muon=True, decay=0.99)


def _ends(network: nn.Module) -> Tensor:
    return next(network.parameters()).square().sum()


def scaled(rank: int, factor: float) -> Lesson:
    """A loss whose gradient is known: the process's own weights, times `factor` and its rank."""
    return lambda network, number: factor * rank * _ends(network)


def test_gradients_from_beside_are_those_of_the_published_weights() -> None:
    trainee = _trainee()
    first = next(trainee.master.parameters())
    with Beside(trainee, scaled, (3.0,), 1) as beside:
        until = time.monotonic() + 120
        while not (taken := [row.clone() for row in beside.take()]) and time.monotonic() < until:
            time.sleep(0.05)
    (row,) = taken
    # Rounded to bf16 on its way, where the device computes in that; another process's would be factors off.
    torch.testing.assert_close(row[: first.numel()].view_as(first), 6 * first.detach(), rtol=1e-2, atol=1e-5)
    assert not row[first.numel() :].any()
    assert beside.taken == 1


def test_own_and_other_gradients_are_averaged_before_the_step() -> None:
    once, twice = _trainee(), _trainee()
    row = torch.cat([weight.detach().flatten() for weight in once.master.parameters()])
    row[next(once.master.parameters()).numel() :] = 0
    once.learn(_ends(once.network), 1e-3)
    twice.learn(0.5 * _ends(twice.network), 1e-3, [3 * row])  # (row + 3 row) / 2, as 2 row alone
    for one, other in zip(once.master.parameters(), twice.master.parameters(), strict=True):
        torch.testing.assert_close(one, other)


def test_without_other_processes_nothing_is_ready() -> None:
    with Beside(_trainee(), scaled, (1.0,), 0) as beside:
        assert list(beside.take()) == []
