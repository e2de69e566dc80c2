"""What the UNet learns from: encoded scenes in memory, told anew each time they are drawn."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from diffusers import AutoencoderKL
from torch import Tensor
from torch.nn import functional as F
from transformers import CLIPTextModel

from tools.pocket import codes
from tools.pocket.autoencoder import LATENT_CHANNELS, detail, encode
from tools.pocket.optimiser import fast_dtype
from tools.pocket.render import Batch, Renderer
from tools.pocket.scene import World
from tools.pocket.table import Table, Things
from tools.pocket.tell import Teller
from tools.pocket.text import load_tokenizer
from tools.pocket.training import precision

CODE = codes.WIDTH


@dataclass(frozen=True)
class Encoded:
    """n scenes: latents (n, 8, 16, 16) fp16 of unit deviation; weights (n, 1, 16, 16) fp16, how much a cell's
    error counts; codes (n, 2, 192) fp16; and what they show, on the CPU."""

    latents: Tensor
    weights: Tensor
    codes: Tensor
    table: Table


def weights(images: Tensor, covered: Tensor) -> Tensor:
    """How much a latent cell's error counts: (n, 1, 16, 16), 1 on backdrops to 5 on fine detail."""
    fine = (detail(images * 2 - 1) - 1) / 4
    return 1 + F.avg_pool2d(covered * (2 + 2 * fine), 8)


@torch.no_grad()
def encoded(batch: Batch, vae: AutoencoderKL, coder: codes.Coder) -> Encoded:
    """Rendered scenes as the UNet's lessons; all on the renderer's device but the table."""
    made = encode(vae, batch.images), weights(batch.images, batch.covered), coder(batch.looks)
    return Encoded(*(tensor.half() for tensor in made), batch.table)


@dataclass(frozen=True)
class Mix:
    """Shares of the draws, in [0, 1]; noise: its deviation on codes.

    drop: empty captions, for guidance. coded: plain scenes drawn from codes. bare_ends: captions whose states
    after the last word are those of the empty caption. They tell the whole caption once more, and a UNet left
    to itself reads its things there; a concept that is taught speaks at its own word only.
    """

    drop: float = 0.10
    coded: float = 0.35
    bare_ends: float = 0.50
    noise: float = 0.10


class Feed:
    """Turns drawn scenes into a batch to learn from: latents, states for keys and values, weights."""

    def __init__(
        self, work: Path, device: torch.device, mix: Mix | None = None, world: World | None = None
    ) -> None:
        """`world`: what is drawn, where that is at hand."""
        self.device, self.mix = device, mix or Mix()
        self.text = CLIPTextModel.from_pretrained(work / "text-frozen").to(device).eval()
        self.tell = Teller(load_tokenizer(work), world or Renderer(work).world)
        self.end = self.tell.encode.end
        self.empty_states = self._states(self.tell.encode.empty)[0]

    @torch.no_grad()
    def _states(self, ids: Tensor) -> Tensor:
        with precision(self.device):
            return self.text(input_ids=ids.to(self.device)).last_hidden_state.to(fast_dtype(self.device))

    @torch.no_grad()
    def batch(self, scenes: Encoded, rng: np.random.Generator) -> tuple[Tensor, Tensor, Tensor]:
        """Latents (n, 8, 16, 16), states for keys then values (n, 64, 256), weights (n, 1, 16, 16).

        In a coded draw the values read the thing's own code at its noun; in a third of those the keys too.
        """
        n, mix = len(scenes.table), self.mix
        told = self.tell(scenes.table, rng, mix.coded)
        coded, nouns = told.coded.to(self.device), told.nouns.to(self.device)
        draws = torch.from_numpy(rng.random((3, n))).to(self.device)
        dropped, bare, keys_too = draws[0] < mix.drop, draws[1] < mix.bare_ends, draws[2] < 1 / 3
        for_keys = self._states(told.ids)
        emptied = (told.ids == self.end).to(self.device) & (coded | bare)[:, None]
        for_keys = torch.where((emptied | dropped[:, None])[..., None], self.empty_states, for_keys)
        generator = torch.Generator(self.device).manual_seed(int(rng.integers(2**62)))
        noise = torch.randn(n, 2, CODE, generator=generator, device=self.device)
        wanted = (scenes.codes.to(self.device).float() + mix.noise * noise).to(for_keys.dtype)
        for_values, spoken = for_keys.clone(), coded & ~dropped
        for slot in (0, 1):
            there = spoken & (nouns[:, slot] >= 0)
            for states, rows in ((for_values, there), (for_keys, there & keys_too)):
                row = torch.nonzero(rows).flatten()
                states[row, nouns[row, slot], :CODE] = wanted[row, slot]
        clean, counts = scenes.latents.to(self.device).float(), scenes.weights.to(self.device).float()
        return clean, torch.cat([for_keys, for_values], 1), counts


class Pool:
    """Encoded scenes in memory, in blocks that are replaced one by one, and drawn from at random.

    latents and the like lie on one device, tables on the CPU. Other processes may fill it (see `shared`): a
    block that is being replaced is not drawn from.
    """

    def __init__(self, blocks: int, size: int, device: torch.device) -> None:
        """Room for so many `blocks` of `size` scenes, 6 kB each."""
        self.size, n = size, blocks * size
        self.numbers = torch.full((blocks,), -1)  # which block lies in each place, -1 for none
        half = {"dtype": torch.float16, "device": device}
        things = Things(*(torch.zeros(n, 2, dtype=kind) for kind in [torch.int64] * 5 + [torch.float32] * 3))
        whole = [torch.zeros(n, dtype=torch.int64) for _ in range(3)]
        table = Table(things, *whole, torch.zeros(n, dtype=torch.bool))
        self.scenes = Encoded(
            torch.zeros(n, LATENT_CHANNELS, 16, 16, **half), torch.zeros(n, 1, 16, 16, **half),
            torch.zeros(n, 2, CODE, **half), table,
        )  # fmt: skip

    def shared(self) -> Pool:
        """The pool, in memory that other processes see too; CUDA's memory is shared by being sent."""
        for tensor in (self.numbers, *self._columns(self.scenes)):
            if tensor.device.type == "cpu":
                tensor.share_memory_()
        return self

    @staticmethod
    def _columns(scenes: Encoded) -> list[Tensor]:
        return [scenes.latents, scenes.weights, scenes.codes, *scenes.table.plain().values()]

    def put(self, number: int, block: Encoded, wait: Callable[[], None] = lambda: None) -> None:
        """Put a block in place of the oldest; `wait` is called when it is no more drawn from."""
        place = number % len(self.numbers)
        self.numbers[place] = -1
        wait()
        rows = slice(place * self.size, (place + 1) * self.size)
        for mine, theirs in zip(self._columns(self.scenes), self._columns(block), strict=True):
            mine[rows].copy_(theirs)
        if block.latents.is_cuda:
            torch.cuda.synchronize()
        self.numbers[place] = number

    @property
    def held(self) -> frozenset[int]:
        """Numbers of the blocks in it."""
        return frozenset(self.numbers[self.numbers >= 0].tolist())

    def draw(self, rng: np.random.Generator, n: int) -> Encoded:
        """n scenes, each from any block."""
        places = torch.nonzero(self.numbers >= 0).flatten().numpy()
        picked = places[rng.integers(len(places), size=n)] * self.size + rng.integers(self.size, size=n)
        rows = torch.from_numpy(picked)
        index = rows.to(self.scenes.latents.device)
        tensors = (self.scenes.latents, self.scenes.weights, self.scenes.codes)
        return Encoded(*(tensor[index] for tensor in tensors), self.scenes.table[rows])
