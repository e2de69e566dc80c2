"""Photos and masks as the denoiser sees them, encoded once; and the random draw of a step's batch."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional

from perfusion_core.model.latents import latents_of
from perfusion_core.training.photos import Photo
from perfusion_core.training.recipe import Recipe

if TYPE_CHECKING:
    from perfusion_core.model.base import Base


@dataclass(frozen=True)
class Examples:
    """latents (N, C, h, w) scaled for the denoiser, masks (N, 1, h, w) in 0..1, both float32.

    With flips, the second half mirrors the first; the mirrored photo is encoded, not the latent turned
    round, since an encoder is not exactly symmetric.
    """

    latents: Tensor
    masks: Tensor
    photos: int

    @property
    def mirrored(self) -> bool:
        return len(self.latents) > self.photos


@dataclass(frozen=True)
class Batch:
    """One optimizer step's examples (B of them) as drawn; all on the examples' device.

    latents, noise (B, C, h, w); masks (B, 1, h, w); timesteps (B,); rows (B,): which of `prompts` each one
    has.
    """

    latents: Tensor
    masks: Tensor
    noise: Tensor
    timesteps: Tensor
    prompts: tuple[str, ...]
    rows: Tensor

    def parts(self, size: int) -> Iterator[Batch]:
        """The batch in micro-batches of at most `size`."""
        for start in range(0, len(self.latents), size):
            cut = slice(start, start + size)
            yield Batch(
                self.latents[cut],
                self.masks[cut],
                self.noise[cut],
                self.timesteps[cut],
                self.prompts,
                self.rows[cut],
            )


@torch.no_grad()
def encode_examples(base: Base, photos: Sequence[Photo], masks: Sequence[Any], recipe: Recipe) -> Examples:
    """Encode every photo once, and its mirror image where the recipe flips; masks go to the latent grid."""
    side = (recipe.resolution, recipe.resolution)
    pixels = torch.stack([_pixels(photo.image.resize(side, Image.Resampling.LANCZOS)) for photo in photos])
    weights = torch.stack(
        [torch.from_numpy(np.array(mask, dtype=np.float32))[None] for mask in map(_on(side), masks)]
    )
    if recipe.flip:
        pixels, weights = torch.cat([pixels, pixels.flip(-1)]), torch.cat([weights, weights.flip(-1)])
    latents = torch.cat([latents_of(base.vae, one[None]) for one in pixels])  # one by one: memory stays small
    height, width = latents.shape[-2:]
    small = functional.adaptive_avg_pool2d(weights, (height, width))
    device = base.vae.device
    return Examples(latents.to(device), small.to(device), len(photos))


def draw(
    examples: Examples, recipe: Recipe, placeholder: str, timesteps: int, generator: torch.Generator
) -> Batch:
    """Draw one optimizer step's batch; all randomness of training comes from here, on the CPU.

    Photos and templates come in shuffled rounds, so that each is seen about equally often, and timesteps are
    stratified: every part of the recipe's stretch of the schedule is in every batch, which reduces the
    variance of the loss without weighting any timestep of it.
    """
    count = recipe.batch_size * recipe.accumulation
    chosen = _rounds(examples.photos, count, generator)
    if examples.mirrored:
        chosen = chosen + examples.photos * torch.randint(0, 2, (count,), generator=generator)
    templates = _rounds(len(recipe.templates), count, generator)
    strata = (torch.randperm(count, generator=generator) + torch.rand(count, generator=generator)) / count
    within = recipe.noise_from + strata * (recipe.noise_to - recipe.noise_from)
    times = (within * timesteps).long().clamp(max=timesteps - 1)
    noise = torch.randn((count, *examples.latents.shape[1:]), generator=generator)
    distinct, rows = torch.unique(templates, return_inverse=True)
    prompts = tuple(recipe.templates[int(k)].format(placeholder) for k in distinct)
    device = examples.latents.device
    return Batch(
        latents=examples.latents[chosen.to(device)],
        masks=examples.masks[chosen.to(device)],
        noise=noise.to(device),
        timesteps=times.to(device),
        prompts=prompts,
        rows=rows,
    )


def first_prompts(
    examples: Examples, recipe: Recipe, placeholder: str, generator: torch.Generator
) -> tuple[str, ...]:
    """The prompts of the batch that `generator` will draw next; the generator itself does not move."""
    ahead = generator.clone_state()
    return draw(examples, recipe, placeholder, 1, ahead).prompts


def _rounds(choices: int, count: int, generator: torch.Generator) -> Tensor:
    """`count` indices below `choices` as shuffled rounds through all of them. Shape: (count,)."""
    rounds = [torch.randperm(choices, generator=generator) for _ in range(-(-count // choices))]
    return torch.cat(rounds)[:count]


def _pixels(image: Image.Image) -> Tensor:
    """Shape: (3, H, W), -1..1."""
    values = np.asarray(image.convert("RGB"), dtype=np.float32) / 127.5 - 1.0
    return torch.from_numpy(values).permute(2, 0, 1)


def _on(side: tuple[int, int]) -> Any:
    def resized(mask: Any) -> Image.Image:
        image = Image.fromarray(np.asarray(mask, dtype=np.float32))
        return image.resize(
            side, Image.Resampling.BOX if image.size[0] > side[0] else Image.Resampling.BILINEAR
        )

    return resized
