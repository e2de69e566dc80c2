"""UNet training learns, and a run cut off goes on as if it had not been."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from tools.pocket import checkpoint
from tools.pocket.denoiser import DEFAULT_SHAPE, build_unet, signal_shares
from tools.pocket.trainee import Trainee, diffusion_loss
from tools.pocket.training import learning_rate, step_rng

CPU = torch.device("cpu")


def _trainee() -> Trainee:
    torch.manual_seed(0)
    unet = build_unet(DEFAULT_SHAPE, block_out_channels=(16, 16, 16), layers_per_block=1)
    return Trainee(unet, CPU, 1e-3, muon=True, decay=0.99)


def _step(trainee: Trainee) -> float:
    rng = step_rng(0, 6, trainee.step)
    clean = torch.from_numpy(rng.standard_normal((4, 8, 16, 16), dtype=np.float32))
    states = torch.from_numpy(rng.standard_normal((4, 64, 256), dtype=np.float32))
    weights = torch.ones(len(clean), 1, *clean.shape[2:])
    loss = diffusion_loss(trainee.network, clean, states, weights, signal_shares(CPU), rng)
    trainee.learn(loss, 1e-3)
    return float(loss.detach())


def _weights(trainee: Trainee) -> Tensor:
    return torch.cat([weight.flatten() for weight in trainee.master.parameters()])


def test_a_resumed_run_ends_where_an_uninterrupted_one_does(tmp_path: Path) -> None:
    whole, first = _trainee(), _trainee()
    for _ in range(3):
        _step(whole)
    _step(first)
    checkpoint.save(tmp_path / "unet.pt", first.state())
    second = _trainee()
    saved = checkpoint.load(tmp_path / "unet.pt")
    assert saved is not None
    second.restore(saved)
    for _ in range(2):
        _step(second)
    assert torch.equal(_weights(whole), _weights(second))
    assert all(torch.equal(a, b) for a, b in zip(whole.average, second.average, strict=True))


def test_every_weight_that_learns_gets_a_gradient_and_moves() -> None:
    trainee = _trainee()
    before = _weights(trainee)
    _step(trainee)
    moved = (_weights(trainee) != before).float().mean()
    assert moved > 0.95


def test_learning_rate_rises_holds_and_falls() -> None:
    shape = [learning_rate(step, 1.0, 10, 100, 0.3) for step in (0, 9, 50, 69, 85, 99)]
    assert shape[0] == 0.1
    assert shape[1:4] == [1.0, 1.0, 1.0]
    assert 0.4 < shape[4] < 0.6
    assert 0.02 <= shape[5] < 0.1


def test_beginning_from_an_average_takes_its_weights_and_no_history() -> None:
    old, new = _trainee(), _trainee()
    _step(old)
    state = old.state()
    new.begin_from(state["average"])  # type: ignore[arg-type]
    names = [name for name, _ in new.master.named_parameters()]
    assert all(torch.equal(new.master.state_dict()[name], state["average"][name]) for name in names)  # type: ignore[index]
    assert new.step == 0
