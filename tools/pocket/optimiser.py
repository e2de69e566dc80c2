"""Muon for the hidden weights, AdamW for the rest, over fp32 masters of a bf16 network."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn


def orthogonalised(update: Tensor, steps: int = 5) -> Tensor:
    """Nearest half-orthogonal matrix to `update` (r, c), by Newton-Schulz steps (Jordan et al. 2024)."""
    a, b, c = 3.4445, -4.7750, 2.0315
    tall = update.shape[0] > update.shape[1]
    # bf16 is enough; a CPU that does not compute in it is many times slower that way
    native = update.is_cuda or torch.ops.mkldnn._is_mkldnn_bf16_supported()
    x = (update.T if tall else update).to(torch.bfloat16 if native else update.dtype)
    x = x / (x.norm() + 1e-7)
    for _ in range(steps):
        gram = x @ x.T
        x = a * x + (b * gram + c * gram @ gram) @ x
    return x.T if tall else x


class Muon(torch.optim.Optimizer):
    """Momentum whose step is orthogonalised, scaled to AdamW's usual step size (Liu et al. 2025, eq. 4).

    Convolutions are taken as matrices (out, in * height * width).
    """

    def __init__(
        self, params: list[Tensor], lr: float, momentum: float = 0.95, weight_decay: float = 0.01
    ) -> None:
        super().__init__(params, {"lr": lr, "momentum": momentum, "weight_decay": weight_decay})

    @torch.no_grad()
    def step(self, closure: Any = None) -> None:  # type: ignore[override]
        """Take one step from the parameters' gradients."""
        for group in self.param_groups:
            for weight in group["params"]:
                if weight.grad is None:
                    continue
                state = self.state[weight]
                if not state:
                    state["momentum"] = torch.zeros_like(weight)
                speed = state["momentum"].mul_(group["momentum"]).add_(weight.grad)
                ahead = weight.grad + group["momentum"] * speed
                matrix = ahead.flatten(1)
                turn = orthogonalised(matrix).to(weight.dtype).view_as(weight)
                scale = 0.2 * max(matrix.shape) ** 0.5
                weight.mul_(1 - group["lr"] * group["weight_decay"]).add_(turn, alpha=-group["lr"] * scale)


class Pair:
    """Two optimisers stepped as one: Muon on hidden matrices, AdamW on the ends, biases and norms."""

    ENDS = ("conv_in", "conv_out", "time_embedding", "quant_conv", "embedding", "projection")

    def __init__(self, network: nn.Module, lr: float, muon: bool) -> None:
        hidden, rest = [], []
        for name, weight in network.named_parameters():
            if not weight.requires_grad:
                continue
            inner = weight.ndim >= 2 and not any(end in name for end in self.ENDS)
            (hidden if muon and inner else rest).append(weight)
        self.parts: list[torch.optim.Optimizer] = [
            torch.optim.AdamW(rest, lr=lr, betas=(0.9, 0.99), weight_decay=0.01)
        ]
        if hidden:
            self.parts.append(Muon(hidden, lr))

    def step(self, lr: float) -> None:
        """One step of both at learning rate `lr`."""
        for part in self.parts:
            for group in part.param_groups:
                group["lr"] = lr
            part.step()

    def state_dict(self) -> list[dict[str, Any]]:
        """State of both."""
        return [part.state_dict() for part in self.parts]

    def load_state_dict(self, states: list[dict[str, Any]]) -> None:
        """Restore both."""
        for part, state in zip(self.parts, states, strict=True):
            part.load_state_dict(state)
