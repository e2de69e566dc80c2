"""The UNet in training: a network in bf16 (or fp32), fp32 masters, running average, and the loss."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from diffusers import UNet2DConditionModel
from diffusers.models.attention_processor import AttnProcessor
from torch import Tensor

from tools.pocket.denoiser import WIDTHS, build_unet, draw_steps, noised
from tools.pocket.optimiser import Pair
from tools.pocket.training import fast_dtype


class Trainee:
    """The network that computes, the fp32 masters that learn, and their running average (EMA)."""

    def __init__(
        self,
        device: torch.device,
        rate: float,
        muon: bool,
        decay: float,
        widths: tuple[int, ...] = WIDTHS,
        build: Callable[[tuple[int, ...]], UNet2DConditionModel] = build_unet,
    ) -> None:
        self.master = build(widths).to(device)
        self.network = build(widths).to(device, fast_dtype(device)).train()
        self.network = self.network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        if device.type == "cpu":  # fused attention is slow backwards on a CPU: 39 against 55 scenes a second
            self.network.set_attn_processor(AttnProcessor())
        self.optimiser = Pair(self.master, rate, muon)
        self.average = [weight.detach().clone() for weight in self.master.parameters()]
        self.decay, self.step = decay, 0
        self._publish()

    @torch.no_grad()
    def _publish(self) -> None:
        torch._foreach_copy_(list(self.network.parameters()), list(self.master.parameters()))

    def learn(self, loss: Tensor, rate: float) -> float:
        """One step down `loss`; returns the gradient's norm before clipping to 1."""
        for weight in self.network.parameters():
            weight.grad = None
        loss.backward()
        for master, weight in zip(self.master.parameters(), self.network.parameters(), strict=True):
            master.grad = None if weight.grad is None else weight.grad.float()
        norm = torch.nn.utils.clip_grad_norm_(self.master.parameters(), 1.0)
        self.optimiser.step(rate)
        self.step += 1
        with torch.no_grad():
            keep = min(self.decay, (1 + self.step) / (10 + self.step))
            torch._foreach_lerp_(self.average, list(self.master.parameters()), 1 - keep)
            self._publish()
        return float(norm)

    def state(self) -> dict[str, object]:
        """Everything needed to go on."""
        average = dict(zip((name for name, _ in self.master.named_parameters()), self.average, strict=True))
        return {
            "master": self.master.state_dict(), "average": average,
            "optimiser": self.optimiser.state_dict(), "step": self.step,
        }  # fmt: skip

    @torch.no_grad()
    def begin_from(self, weights: dict[str, Tensor]) -> None:
        """Take weights by name (such as another run's average), with the optimiser and the average afresh."""
        for (name, master), average in zip(self.master.named_parameters(), self.average, strict=True):
            master.copy_(weights[name])
            average.copy_(weights[name])
        self._publish()

    def restore(self, saved: dict[str, object]) -> None:
        """Go on from `state()`."""
        self.master.load_state_dict(saved["master"])  # type: ignore[arg-type]
        self.optimiser.load_state_dict(saved["optimiser"])  # type: ignore[arg-type]
        for mine, theirs in zip(self.average, saved["average"].values(), strict=True):  # type: ignore[attr-defined]
            mine.copy_(theirs)
        self.step = saved["step"]  # type: ignore[assignment]
        self._publish()


def diffusion_loss(
    network: UNet2DConditionModel,
    clean: Tensor,
    states: Tensor,
    weights: Tensor,
    shares: Tensor,
    rng: np.random.Generator,
) -> Tensor:
    """Mean square v error, by place as `weights` (n, 1, h, w) say, at noise levels drawn by their weight."""
    times = draw_steps(shares, len(clean), rng).to(clean.device)
    noise = torch.from_numpy(rng.standard_normal(clean.shape, dtype=np.float32)).to(clean.device)
    noisy, target = noised(clean, noise, shares[times])
    made = network(noisy.to(network.dtype), times, states.to(network.dtype)).sample.float()
    return ((made - target).square() * (weights / weights.mean())).mean()
