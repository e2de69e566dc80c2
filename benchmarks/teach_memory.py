"""Memory on the card that a family's bases take in full size, computed without a card and without weights.

Everything is built on PyTorch's meta device, where tensors have shapes and no memory, in the precisions that
`load_base` chooses on a card. Counted are the weights; what a training step of one example keeps for its
backward pass (all of it, or with gradient checkpointing the inputs of the checkpointed blocks and the largest
block's own); the peak of such a step with checkpointing, as presets reckon it; the same of learning through
the text encoders, a prompt at a time; and the peaks of encoding and decoding one image. "Together" is the
weights and the largest of these peaks, which follow each other; "in tiles" the same where the autoencoder
takes the image in tiles. Not in it: what kernels use for themselves, the scorer, the segmenter, and what the
allocator loses, for which presets leave 1 GiB.

    python -m benchmarks.teach_memory [--family stable-diffusion sdxl kolors pixart sana cosmos]
"""

from __future__ import annotations

import argparse
from collections import defaultdict
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from torch.autograd.graph import saved_tensors_hooks

from benchmarks.full_size import ENCODERS, autoencoder
from benchmarks.peak import Peak, fused_attention
from perfusion_core.model.autoencoder import precision_beside, take_tiles
from perfusion_core.model.describe import describe
from perfusion_core.model.device_memory import weights_gib
from perfusion_core.model.families.registry import family_called
from perfusion_core.model.latents import latents_of, pixels_of
from perfusion_core.model.predict import TextInputs
from perfusion_core.model.quiet import quiet_libraries
from perfusion_core.training.batch_size import peak_of

GIB = 2**30
SIDES = {"stable-diffusion": 512}  # pixels; the others make images of 1024
TEXTS = {  # what the denoiser is given of a text: tokens, width
    "stable-diffusion": (77, 768),
    "sdxl": (77, 2048),
    "kolors": (256, 4096),
    "pixart": (300, 4096),
    "sana": (300, 2304),  # its encoder reads the pipeline's instruction too, of about 250 tokens
    "cosmos": (512, 1024),
}
INSTRUCTIONS = {"sana": 250}
POOLED = {"sdxl": 1280, "kolors": 4096}  # the width of its pooled text
BLOCKS = ("ResnetBlock2D", "BasicTransformerBlock", "SanaTransformerBlock", "CosmosTransformerBlock")


@dataclass(frozen=True)
class Coding:
    """GiB at most beside the weights, for one image of the family's size."""

    encode: float
    decode: float

    @property
    def most(self) -> float:
        return max(self.encode, self.decode)


@dataclass(frozen=True)
class Weights:
    """GiB on a card."""

    denoiser: float
    text_encoders: float
    autoencoder: float

    @property
    def all(self) -> float:
        return self.denoiser + self.text_encoders + self.autoencoder


class Kept:
    """Bytes that are kept for the backward pass, each memory once, by checkpointed block."""

    def __init__(self, denoiser: nn.Module) -> None:
        self.by_block: dict[int, int] = defaultdict(int)
        self.inputs = 0
        self._weights = {weight.untyped_storage()._cdata for weight in denoiser.parameters()}
        self._seen: set[int] = set()
        self._alive: list[torch.Tensor] = []  # a storage that is gone could be counted for another
        self._block = -1
        blocks = [module for module in denoiser.modules() if type(module).__name__ in BLOCKS]
        for number, block in enumerate(blocks):
            block.register_forward_pre_hook(lambda _m, inputs, n=number: self._enter(n, inputs))
            block.register_forward_hook(lambda *_: setattr(self, "_block", -1))

    def _enter(self, number: int, inputs: tuple[Any, ...]) -> None:
        self._block = number
        self.inputs += inputs[0].numel() * inputs[0].element_size()

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


def half_of(name: str) -> torch.dtype:
    return getattr(torch, family_called(name).half)  # type: ignore[no-any-return]


def size_of(name: str) -> int:
    """The side in pixels of the images that the family makes."""
    return SIDES.get(name, 1024)


def pipeline_of(name: str) -> Any:
    """The family's denoiser in half precision and as much of its pipeline as `describe` looks at."""
    import tests.tiny_cosmos  # noqa: F401  (in place of torchvision, where that is not installed)
    from tests.model.families.test_true_sizes import true_parts

    pipe = true_parts(name)
    with quiet_libraries():  # diffusers warns of a cast even where nothing is cast
        getattr(pipe, family_called(name).denoiser).requires_grad_(False).to(half_of(name))
    return pipe


def autoencoder_of(name: str) -> Any:
    vae = autoencoder(name)
    with quiet_libraries():
        return vae.to(precision_beside(family_called(name), vae, half_of(name)))


def weights_of(name: str) -> Weights:
    family = family_called(name)
    encoders = 0.0
    for encoder, built in zip(family.encoders, ENCODERS[name], strict=True):
        with torch.device("meta"):
            encoders += weights_gib([built.build().to(torch.bfloat16 if encoder.large else torch.float32)])
    denoiser = getattr(pipeline_of(name), family.denoiser)
    return Weights(weights_gib([denoiser]), encoders, weights_gib([autoencoder_of(name)]))


def kept_of(name: str) -> tuple[float, float]:
    """GiB that one example keeps for the backward pass, as it is and with gradient checkpointing."""
    pipe, family, half = pipeline_of(name), family_called(name), half_of(name)
    denoiser: nn.Module = getattr(pipe, family.denoiser)
    facts, side, (tokens, width) = describe(pipe), size_of(name), TEXTS[name]
    kept, small = Kept(denoiser), side // facts.vae_factor
    with torch.device("meta"):
        text = TextInputs(
            torch.empty(1, tokens, width, dtype=half).requires_grad_(),
            torch.empty(1, tokens, dtype=torch.long),
            torch.empty(1, POOLED.get(name, 0), dtype=half),
        )
        size = (1, small, small) if family.frames else (small, small)
        latents = torch.empty(1, facts.latent_channels, *size, dtype=half)
        time = torch.empty(1, dtype=half)
    with fused_attention(), saved_tensors_hooks(kept.keep, lambda tensor: tensor):
        denoiser(latents, timestep=time, **family.arguments(pipe, text, (side, side)))
    return kept.all / GIB, kept.checkpointed / GIB


def text_of(name: str, prompts: int = 1) -> float:
    """GiB that the text encoders keep for the backward pass of so many prompts, where they keep it."""
    tokens, total = TEXTS[name][0] + INSTRUCTIONS.get(name, 0), 0.0
    for encoder, built in zip(family_called(name).encoders, ENCODERS[name], strict=True):
        with torch.device("meta"):
            module = built.build().to(torch.bfloat16 if encoder.large else torch.float32)
            ids = torch.zeros(prompts, tokens, dtype=torch.long)
        table = module.get_submodule(encoder.table) if encoder.table else module.get_input_embeddings()
        table.register_forward_hook(lambda _m, _i, words: words.detach().requires_grad_())
        kept = Kept(module)
        with fused_attention(), saved_tensors_hooks(kept.keep, lambda tensor: tensor):
            module(ids)
        total += kept.all / GIB
    return total


@torch.no_grad()
def coding_of(name: str, *, tiles: bool = False, dtype: torch.dtype | None = None) -> Coding:
    """The autoencoder's peaks, in the precision that it has on a card or in `dtype`."""
    vae, facts, side = autoencoder_of(name), describe(pipeline_of(name)), size_of(name)
    if dtype is not None:
        with quiet_libraries():
            vae.to(dtype)
    if tiles:
        take_tiles(vae)
    small = side // facts.vae_factor
    with torch.device("meta"):
        pixels, latents = torch.empty(1, 3, side, side), torch.empty(1, facts.latent_channels, small, small)
    with fused_attention():
        with Peak() as encode:
            latents_of(vae, pixels)
        with Peak() as decode:
            pixels_of(vae, latents)
    return Coding(encode.most / GIB, decode.most / GIB)


COLUMNS = (
    "family", "pixels", "denoiser", "text encoders", "autoencoder", "weights", "kept", "checkpointed",
    "step", "text", "encode", "decode", "together", "in tiles",
)  # fmt: skip


def row_of(name: str) -> list[str]:
    weights, (kept, checkpointed) = weights_of(name), kept_of(name)
    whole, tiled = coding_of(name), coding_of(name, tiles=True)
    step, text = peak_of(checkpointed), peak_of(text_of(name))
    together = [weights.all + max(step, text, coding.most) for coding in (whole, tiled)]
    found = [weights.denoiser, weights.text_encoders, weights.autoencoder, weights.all, kept, checkpointed]
    found += [step, text, whole.encode, whole.decode, *together]
    return [name, str(size_of(name)), *(f"{gib:.2f}" for gib in found)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--family", nargs="+", choices=list(TEXTS), default=list(TEXTS))
    print("GiB on a card, computed on the meta device and not measured")
    rows = [COLUMNS, *map(row_of, parser.parse_args().family)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        print("  ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True)))


if __name__ == "__main__":
    main()
