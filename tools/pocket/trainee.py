"""The UNet while it learns: a fast copy that computes, fp32 masters, their average, and the loss."""

from __future__ import annotations

import copy
from collections.abc import Iterable
from typing import Any

import numpy as np
import torch
from diffusers import UNet2DConditionModel
from torch import Tensor, nn

from tools.pocket.denoiser import SplitAttention, draw_steps, noised
from tools.pocket.optimiser import Pair, fast_dtype


def computing(unet: UNet2DConditionModel, device: torch.device) -> UNet2DConditionModel:
    """The network as it computes fastest on a device, changed in place; it reads keys' and values' states."""
    nn.Module.to(unet, device, fast_dtype(device))  # its own `to` warns of modules to be kept in fp32: none
    nn.Module.to(unet, memory_format=torch.channels_last)
    unet.set_attn_processor(SplitAttention(fused=device.type == "cuda"))
    return unet.train()


class Trainee:
    """The network that computes (in bf16 where that is fast), its fp32 masters, and their average (EMA)."""

    def __init__(
        self, unet: UNet2DConditionModel, device: torch.device, rate: float, muon: bool, decay: float
    ) -> None:
        """`unet` becomes the master."""
        self.device, self.master = device, unet.to(device).train()
        self.network = computing(copy.deepcopy(self.master), device)
        self.optimiser = Pair(self.master, rate, muon)
        self.average = [weight.detach().clone() for weight in self.master.parameters()]
        self.decay, self.step = decay, 0

    @torch.no_grad()
    def _publish(self) -> None:
        torch._foreach_copy_(list(self.network.parameters()), list(self.master.parameters()))

    def learn(self, loss: Tensor, rate: float, others: Iterable[Tensor] = ()) -> Tensor:
        """One step down `loss`; returns the gradient's norm before clipping to 1.

        others: gradients (P,) of equally large batches by other processes, averaged with the own one.
        """
        for weight in self.network.parameters():
            weight.grad = None
        loss.backward()
        masters = list(self.master.parameters())
        for master, weight in zip(masters, self.network.parameters(), strict=True):
            master.grad = torch.zeros_like(master) if weight.grad is None else weight.grad.float()
        count = 1
        for other in others:
            count += 1
            for master, part in zip(masters, split_like(other, masters), strict=True):
                master.grad.add_(part)  # type: ignore[union-attr]
        if count > 1:
            torch._foreach_div_([master.grad for master in masters], count)
        norm = torch.nn.utils.clip_grad_norm_(self.master.parameters(), 1.0)
        self.optimiser.step(rate)
        self.step += 1
        with torch.no_grad():
            keep = min(self.decay, (1 + self.step) / (10 + self.step))
            torch._foreach_lerp_(self.average, list(self.master.parameters()), 1 - keep)
            self._publish()
        return norm

    def averaged(self) -> dict[str, Tensor]:
        """The average by parameter name."""
        return dict(zip((name for name, _ in self.master.named_parameters()), self.average, strict=True))

    @property
    def config(self) -> str:
        """The network's configuration, as JSON."""
        return self.master.to_json_string()

    def state(self) -> dict[str, Any]:
        """Everything needed to go on."""
        return {
            "master": self.master.state_dict(), "average": self.averaged(),
            "optimiser": self.optimiser.state_dict(), "step": self.step, "config": self.config,
        }  # fmt: skip

    @torch.no_grad()
    def begin_from(self, weights: dict[str, Tensor]) -> None:
        """Take weights by name (such as another run's average), with the optimiser and the average afresh."""
        for (name, master), average in zip(self.master.named_parameters(), self.average, strict=True):
            master.copy_(weights[name])
            average.copy_(weights[name])
        self._publish()

    def restore(self, saved: dict[str, Any]) -> None:
        """Go on from `state()`; weights that came back from elsewhere have no optimiser's state."""
        if "optimiser" not in saved:
            self.begin_from(saved["average"])
            self.step = saved["step"]
            return
        self.master.load_state_dict(saved["master"])
        self.optimiser.load_state_dict(saved["optimiser"])
        for mine, theirs in zip(self.average, saved["average"].values(), strict=True):
            mine.copy_(theirs)
        self.step = saved["step"]
        self._publish()


def flat(tensors: Iterable[Tensor]) -> Tensor:
    """All of them in one row (P,), fp32."""
    return torch.cat([tensor.detach().float().flatten() for tensor in tensors])


def split_like(row: Tensor, tensors: list[Tensor]) -> list[Tensor]:
    """What `flat` put together, as views of the row in the tensors' shapes."""
    parts = row.split([tensor.numel() for tensor in tensors])
    return [part.view(tensor.shape) for part, tensor in zip(parts, tensors, strict=True)]


def diffusion_loss(
    network: UNet2DConditionModel,
    clean: Tensor,
    states: Tensor,
    weights: Tensor,
    shares: Tensor,
    rng: np.random.Generator,
) -> Tensor:
    """Mean square v error, by place as `weights` (n, 1, h, w) say, at noise levels drawn by their weight.

    clean: (n, 8, h, w); states: (n, 2T, D), for keys then values; shares: (1000,). All on one device.
    """
    times = draw_steps(len(clean), rng).to(clean.device)
    generator = torch.Generator(clean.device).manual_seed(int(rng.integers(2**62)))
    noise = torch.randn(clean.shape, generator=generator, device=clean.device)
    noisy, target = noised(clean, noise, shares[times])
    made = network(noisy.to(network.dtype), times, states.to(network.dtype)).sample.float()
    return ((made - target).square() * (weights / weights.mean())).mean()
