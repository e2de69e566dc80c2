"""Memory that a step of teaching takes at a family's real size, computed without a card and without weights.

The denoiser is built on PyTorch's meta device, where tensors have shapes and no memory. Counted are its
weights in half precision and what a forward pass of one example keeps for the backward one: all of it, or,
with gradient checkpointing, the inputs of the checkpointed blocks and the largest block's own. Neither the
text encoders nor the autoencoder nor what the allocator loses is in it. Attention counts as fused kernels
do it: queries, keys, values and outputs are kept, the weights of every pair are not.
Cosmos's denoiser needs torchvision.

    python -m benchmarks.teach_memory [--family sdxl pixart sana cosmos]
"""

from __future__ import annotations

import argparse
from collections import defaultdict
from typing import Any

import torch
from torch import nn
from torch.autograd.graph import saved_tensors_hooks

from perfusion_core.model.describe import describe
from perfusion_core.model.families.registry import family_called
from perfusion_core.model.predict import TextInputs

GIB = 2**30


class Kept:
    """Bytes that are kept for the backward pass, each memory once, by checkpointed block."""

    def __init__(self, denoiser: nn.Module, blocks: list[nn.Module]) -> None:
        self.by_block: dict[int, int] = defaultdict(int)
        self.inputs = 0
        self._weights = {weight.untyped_storage()._cdata for weight in denoiser.parameters()}
        self._seen: set[int] = set()
        self._alive: list[torch.Tensor] = []  # a storage that is gone could be counted for another
        self._block = -1
        for number, block in enumerate(blocks):
            block.register_forward_pre_hook(lambda _m, inputs, n=number: self._enter(n, inputs))
            block.register_forward_hook(lambda *_: setattr(self, "_block", -1))

    def _enter(self, number: int, inputs: tuple[Any, ...]) -> None:
        self._block = number
        self.inputs += _bytes(inputs[0])

    def keep(self, tensor: torch.Tensor) -> torch.Tensor:
        key = tensor.untyped_storage()._cdata
        if key not in self._weights and key not in self._seen:
            self._seen.add(key)
            self._alive.append(tensor)
            self.by_block[self._block] += tensor.untyped_storage().nbytes()
        return tensor

    @property
    def all(self) -> int:
        return sum(self.by_block.values())

    @property
    def checkpointed(self) -> int:
        largest = max((size for block, size in self.by_block.items() if block >= 0), default=0)
        return self.by_block[-1] + self.inputs + largest


class Fused(torch.autograd.Function):
    """Attention that keeps what fused kernels keep; only its shapes are right."""

    @staticmethod
    def forward(ctx: Any, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor) -> torch.Tensor:
        output = query.new_empty(*query.shape[:-1], value.shape[-1])
        ctx.save_for_backward(query, key, value, output)
        return output


def _fused(query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, **_: Any) -> torch.Tensor:
    return Fused.apply(query, key, value)  # type: ignore[no-any-return]


def _bytes(tensor: torch.Tensor) -> int:
    return tensor.numel() * tensor.element_size()


def measured(name: str) -> tuple[float, float, float]:
    """GiB of weights, of all that is kept, and with checkpointing, for one example at 1024 pixels."""
    from tests.model.families.test_true_sizes import true_parts

    torch.set_default_dtype(torch.bfloat16)
    pipe, family = true_parts(name), family_called(name)
    denoiser: nn.Module = getattr(pipe, family.denoiser).requires_grad_(False)
    repeated = ("ResnetBlock2D", "BasicTransformerBlock", "SanaTransformerBlock", "CosmosTransformerBlock")
    blocks = [module for module in denoiser.modules() if type(module).__name__ in repeated]
    kept = Kept(denoiser, blocks)
    facts = describe(pipe)
    channels, side = facts.latent_channels, 1024 // facts.vae_factor
    widths = {"sdxl": (77, 2048), "pixart": (300, 4096), "sana": (300, 2304), "cosmos": (512, 1024)}
    with torch.device("meta"):
        text = TextInputs(
            torch.empty(1, *widths[name]).requires_grad_(),
            torch.empty(1, widths[name][0], dtype=torch.long),
            torch.empty(1, 1280),
        )
        size = (1, side, side) if family.frames else (side, side)
        latents, time = torch.empty(1, channels, *size), torch.empty(1)
    torch.nn.functional.scaled_dot_product_attention = _fused  # for this program alone
    with saved_tensors_hooks(kept.keep, lambda tensor: tensor):
        denoiser(latents, timestep=time, **family.arguments(pipe, text, (1024, 1024)))
    weights = sum(_bytes(weight) for weight in denoiser.parameters())
    return weights / GIB, kept.all / GIB, kept.checkpointed / GIB


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--family", nargs="+", default=["sdxl", "pixart", "sana", "cosmos"])
    print("one example of 1024 pixels in bfloat16, computed on the meta device, GiB")
    print("family   weights  kept  kept with checkpointing")
    for name in parser.parse_args().family:
        weights, everything, checkpointed = measured(name)
        print(f"{name:8} {weights:7.2f} {everything:5.2f} {checkpointed:24.2f}")


if __name__ == "__main__":
    main()
