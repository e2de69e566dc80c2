"""Muon for the hidden weights, AdamW for the rest, over fp32 masters of a bf16 network."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn


def orthogonalised(update: Tensor, steps: int = 5) -> Tensor:
    """Nearest half-orthogonal matrices to `update` (..., r, c), by Newton-Schulz (Jordan et al. 2024)."""
    tall = update.shape[-2] > update.shape[-1]
    x = (update.mT if tall else update).to(fast_dtype(update.device))  # bf16 is enough
    x = x / (x.norm(dim=(-2, -1), keepdim=True) + 1e-7)
    if x.dtype is torch.float32 and x.shape[-1] >= 2 * x.shape[-2]:
        x = _turn(x @ x.mT, steps) @ x
    else:
        for _ in range(steps):
            x = _polynomial(x @ x.mT) @ x
    return x.mT if tall else x


def _polynomial(gram: Tensor) -> Tensor:
    """What one step multiplies a matrix by, from its Gram matrix (..., r, r)."""
    a, b, c = 3.4445, -4.7750, 2.0315
    made = b * gram + c * gram @ gram
    made.diagonal(dim1=-2, dim2=-1).add_(a)
    return made


def _turn(gram: Tensor, steps: int) -> Tensor:
    """The product of all steps' factors (..., r, r), which are polynomials of the Gram matrix and so commute.

    For a convolution's wide matrix this is less than half of the work; it wants fp32.
    """
    whole = factor = _polynomial(gram)
    for _ in range(steps - 1):
        gram = factor @ gram @ factor
        factor = _polynomial(gram)
        whole = factor @ whole
    return whole


def fast_dtype(device: torch.device) -> torch.dtype:
    """bf16 where the device computes in it, else fp32: without AVX-512 a CPU is 18 times slower in bf16."""
    native = device.type == "cuda" or torch.ops.mkldnn._is_mkldnn_bf16_supported()
    return torch.bfloat16 if native else torch.float32


class Muon(torch.optim.Optimizer):
    """Momentum whose step is orthogonalised, scaled to AdamW's usual step size (Liu et al. 2025, eq. 4).

    Convolutions are taken as matrices (out, in * height * width). On a GPU matrices of one size are turned
    together, since a small one by itself keeps no GPU busy.
    """

    def __init__(
        self, params: list[Tensor], lr: float, momentum: float = 0.95, weight_decay: float = 0.01
    ) -> None:
        super().__init__(params, {"lr": lr, "momentum": momentum, "weight_decay": weight_decay})

    @torch.no_grad()
    def step(self, closure: Any = None) -> None:  # type: ignore[override]
        """Take one step from the parameters' gradients."""
        for group in self.param_groups:
            alike: dict[object, list[Tensor]] = {}
            for number, weight in enumerate(group["params"]):
                if weight.grad is not None:
                    key = weight.flatten(1).shape if weight.is_cuda else number
                    alike.setdefault(key, []).append(weight)
            for weights in alike.values():
                self._step(weights, group["lr"], group["momentum"], group["weight_decay"])

    def _step(self, weights: list[Tensor], rate: float, momentum: float, decay: float) -> None:
        """One step of weights whose matrices have one size."""
        for weight in weights:
            if not self.state[weight]:
                self.state[weight]["momentum"] = torch.zeros_like(weight)
        grads = [weight.grad for weight in weights]
        speeds = [self.state[weight]["momentum"] for weight in weights]
        torch._foreach_mul_(speeds, momentum)
        torch._foreach_add_(speeds, grads)
        ahead = torch._foreach_add(grads, speeds, alpha=momentum)
        turns = orthogonalised(torch.stack([each.flatten(1) for each in ahead]))
        scale = 0.2 * max(turns.shape[1:]) ** 0.5
        torch._foreach_mul_(weights, 1 - rate * decay)
        steps = [turn.to(weight.dtype).view_as(weight) for turn, weight in zip(turns, weights, strict=True)]
        torch._foreach_add_(weights, steps, alpha=-rate * scale)


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
