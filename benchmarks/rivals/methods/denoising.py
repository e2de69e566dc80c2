"""The training loop that textual inversion, DreamBooth, LoRA and Custom Diffusion have in common.

As diffusers' example scripts do it: uniform timesteps, the base's own squared error over the whole image,
AdamW, gradients clipped to norm 1; with prior preservation, as many class images as photos in every step.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from PIL import Image
from torch import Tensor, nn

from benchmarks.rivals.clock import now
from benchmarks.rivals.methods.method import Costs
from perfusion_core.training.examples import Batch, encode_examples
from perfusion_core.training.photos import Photo
from perfusion_core.training.recipe import Recipe
from perfusion_core.training.step import NoiseSchedule

if TYPE_CHECKING:
    from benchmarks.rivals.bench import Bench


@dataclass(frozen=True)
class Lesson:
    """Images (N, C, h, w), encoded, and the prompts they are shown with, one drawn a step."""

    latents: Tensor
    prompts: tuple[str, ...]
    weight: float = 1.0


def lesson(
    bench: Bench, photos: Sequence[Photo], prompts: Sequence[str], *, flip: bool, weight: float = 1.0
) -> Lesson:
    """Photos and their prompts, at the base's own size."""
    recipe = Recipe(resolution=bench.base.description.image_size, flip=flip)
    whole = [torch.ones(photo.image.size[::-1]).numpy() for photo in photos]
    return Lesson(encode_examples(bench.base, photos, whole, recipe).latents, tuple(prompts), weight)


def prior_lesson(bench: Bench, superclass: str, settings: Any) -> tuple[Lesson | None, float]:
    """The class images that keep the plain word as it is (None without prior), and the seconds they took."""
    if not settings["prior"]:
        return None, 0.0
    images, seconds = bench.class_images(superclass, int(settings["class_images"]))
    photos = [_as_photo(image, k) for k, image in enumerate(images)]
    prompts = [f"a photo of a {superclass}"]
    return lesson(bench, photos, prompts, flip=False, weight=float(settings["prior"])), seconds


def _as_photo(image: Image.Image, number: int) -> Photo:
    return Photo(image, f"{number}", f"{number}", (), image, (0, 0, *image.size))


def denoise(
    bench: Bench,
    unet: nn.Module,
    lessons: Sequence[Lesson],
    encode: Callable[[list[str]], Tensor],
    groups: Sequence[dict[str, Any]],
    settings: Any,
    seed: int,
    keep: Callable[[], None],
    after_step: Callable[[], None] = lambda: None,
) -> float:
    """Train the parameters of `groups`; returns seconds a step. `keep` is called `bench.snapshots` times.

    Every step shows `batch` images of each lesson. `encode` reads prompts with whatever is being learned:
    (M,) -> (M, T, D). `after_step` may put back what must not move.
    """
    base, steps, batch = bench.base, int(settings["steps"]), int(settings["batch"])
    schedule = NoiseSchedule(base)
    generator = torch.Generator().manual_seed(seed)
    optimizer = torch.optim.AdamW(list(groups), betas=(0.9, 0.999), weight_decay=settings["decay"])
    parameters = [parameter for group in groups for parameter in group["params"]]
    due = [max(1, round(steps * (k + 1) / bench.snapshots)) for k in range(bench.snapshots)]
    spent = 0.0
    with torch.enable_grad():
        for step in range(1, steps + 1):
            begun = now()
            optimizer.zero_grad(set_to_none=True)
            for shown in lessons:
                part = _drawn(shown, batch, schedule.timesteps, generator)
                text = encode(list(part.prompts))[part.rows.to(base.device)]
                noisy, target = schedule.noised(part)
                with _precision(base.device):
                    found = unet(noisy, part.timesteps, encoder_hidden_states=text.to(noisy.dtype)).sample
                loss = (found.float() - target.float()).square().mean() * shown.weight
                loss.backward()
            torch.nn.utils.clip_grad_norm_(parameters, 1.0)
            optimizer.step()
            after_step()
            spent += now() - begun
            for _ in range(due.count(step)):  # several at a step where there are fewer steps than snapshots
                keep()
    return spent / steps


def total(fixed: float, step: float, images: float, settings: Any) -> Costs:
    """The costs of a teaching; the class images are part of its fixed ones."""
    count = int(settings.get("class_images", 0)) if settings.get("prior") else 0
    return Costs(fixed + images, step, images / count if count else 0.0)


def _drawn(shown: Lesson, count: int, timesteps: int, generator: torch.Generator) -> Batch:
    chosen = torch.randint(0, len(shown.latents), (count,), generator=generator)
    rows = torch.randint(0, len(shown.prompts), (count,), generator=generator)
    times = torch.randint(0, timesteps, (count,), generator=generator)
    noise = torch.randn((count, *shown.latents.shape[1:]), generator=generator)
    device = shown.latents.device
    latents = shown.latents[chosen.to(device)]
    masks = torch.ones_like(latents[:, :1])
    return Batch(latents, masks, noise.to(device), times.to(device), shown.prompts, rows)


def _precision(device: torch.device) -> Any:
    """bfloat16 where a graphics card has it; the learned weights stay in float32."""
    fast = device.type == "cuda" and torch.cuda.is_bf16_supported()
    return torch.autocast(device.type, dtype=torch.bfloat16, enabled=fast)
