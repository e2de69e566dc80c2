"""How many images go through the denoiser together.

On a CPU an image must not depend on the images beside it: its recipe promises the same bits when it is made
alone. Whether a batch keeps that promise depends on the processor, the precision and the shapes (float32
matrix products usually regroup their sums, bfloat16 ones often do not), so it is tried out once a shape.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

import torch

from perfusion_core.model.predict import TextInputs, predict

if TYPE_CHECKING:
    from perfusion_core.model.base import Base

_PIXELS_TOGETHER = {"cuda": 8 * 512 * 512, "cpu": 16 * 128 * 128}
_MOST_TOGETHER = 16

# What was found about each denoiser; forgotten with it.
_Shape = tuple[Any, ...]
_FOUND: WeakKeyDictionary[torch.nn.Module, dict[_Shape, bool]] = WeakKeyDictionary()


def images_together(
    base: Base, wanted: int, width: int, height: int, guided: bool, exact: bool = True
) -> int:
    """A batch size from 1 to `wanted` that fits the device and keeps images independent of each other."""
    # `exact=False` gives up that independence on a CPU, for images that are looked at or scored but never
    # repeated alone; the same call still makes the same images.
    kind = torch.device(base.device).type
    room = _PIXELS_TOGETHER.get(kind, _PIXELS_TOGETHER["cpu"]) // (width * height)
    size = max(1, min(wanted, room, _MOST_TOGETHER))
    if kind != "cpu" or size == 1 or not exact:
        return size
    # Even parts: 9 images in two passes are 5 and 4, never 8 and 1.
    size = -(-wanted // -(-wanted // size))
    sizes = {size, wanted % size} - {0, 1}
    return size if all(_independent(base, n, width, height, guided) for n in sizes) else 1


def _independent(base: Base, images: int, width: int, height: int, guided: bool) -> bool:
    """Whether the first and the last image of a batch have the bits they have alone. Costs a step, once."""
    shape = (images, width, height, guided, base.dtype, torch.get_num_threads())
    known = _FOUND.setdefault(base.denoiser, {})
    if shape not in known:
        known[shape] = _try_out(base, images, width, height, guided)
    return known[shape]


@torch.no_grad()
def _try_out(base: Base, images: int, width: int, height: int, guided: bool) -> bool:
    facts = base.description
    noise = torch.Generator().manual_seed(images)
    size = (height // facts.vae_factor, width // facts.vae_factor)
    latents = torch.randn((images, facts.latent_channels, *size), generator=noise).to(base.dtype)
    in_one = guided and not base.family.guided_apart
    text = base.prompts.encode(["a photo", ""] if in_one else ["a photo"], {}, allow_empty=True)

    def predict_rows(rows: torch.Tensor) -> torch.Tensor:
        def of(tensor: torch.Tensor | None) -> torch.Tensor | None:
            return None if tensor is None else tensor.repeat_interleave(len(rows), dim=0)

        given = TextInputs(of(text.given.to(base.dtype)), of(text.mask), of(text.pooled))
        together = torch.cat([rows] * len(text.given))
        return predict(base, together, torch.full((len(together),), 500), given)

    count = len(text.given)
    all_rows = predict_rows(latents).view(count, images, *latents.shape[1:])
    return all(
        torch.equal(all_rows[:, k], predict_rows(latents[k : k + 1]).view(count, *latents.shape[1:]))
        for k in (0, images - 1)
    )
