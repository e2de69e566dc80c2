"""What all methods share: the base with its companions, how images are drawn, and class images."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from PIL import Image

from benchmarks.rivals.cache import Cache
from benchmarks.rivals.clock import now
from perfusion_core.model.base import Base
from perfusion_core.model.schedulers import make_scheduler
from perfusion_core.sampling.defaults import sampling_defaults

if TYPE_CHECKING:
    from perfusion_core.studio.bases import LoadedBase

_PIXELS_TOGETHER = {"cuda": 8 * 512 * 512, "cpu": 8 * 128 * 128}


@dataclass(frozen=True)
class Bench:
    """The base, with the cache of results, the denoising steps of every image, and how many snapshots of a
    teaching are kept.
    """

    loaded: LoadedBase
    cache: Cache
    steps: int
    snapshots: int = 5

    @property
    def base(self) -> Base:
        return self.loaded.base

    @cached_property
    def sampling(self) -> dict[str, Any]:
        """What every image of every method is drawn with."""
        found = sampling_defaults(self.base)
        return {"scheduler": found.scheduler, "guidance": found.guidance, "steps": self.steps}

    @torch.no_grad()
    def draw(self, prompts: Sequence[str], seeds: Sequence[int]) -> list[Image.Image]:
        """One image a prompt from the stock pipeline as it now is, each from the noise of its own seed."""
        base, side = self.base, self.base.description.image_size
        pipe: Any = base.pipeline
        together = max(1, _PIXELS_TOGETHER.get(base.device.type, _PIXELS_TOGETHER["cpu"]) // side**2)
        own, pipe.scheduler = pipe.scheduler, make_scheduler(base, self.sampling["scheduler"])
        images: list[Image.Image] = []
        try:
            for start in range(0, len(prompts), together):
                part = list(prompts[start : start + together])
                noise = [torch.Generator().manual_seed(s) for s in seeds[start : start + together]]
                images += pipe(
                    part,
                    generator=noise,
                    num_inference_steps=self.steps,
                    guidance_scale=self.sampling["guidance"],
                    height=side,
                    width=side,
                ).images
        finally:
            pipe.scheduler = own
        return images

    def class_images(self, superclass: str, count: int) -> tuple[list[Image.Image], float]:
        """`count` images of the plain word by the base itself, and the seconds they took to draw."""
        facts = {"base": self.base.fingerprint, "class": superclass, "count": count, **self.sampling}

        def make(folder: Path) -> None:
            begun = now()
            seeds = range(500_000, 500_000 + count)
            save_images(self.draw([f"a photo of a {superclass}"] * count, seeds), folder)
            (folder / "seconds").write_text(str(now() - begun), encoding="utf-8")

        folder = self.cache.folder("class-images", facts, make)
        return read_images(folder), float((folder / "seconds").read_text(encoding="utf-8"))


def save_images(images: Sequence[Image.Image], folder: Path) -> None:
    """Write images as 0000.png, 0001.png, …"""
    folder.mkdir(parents=True, exist_ok=True)
    for number, image in enumerate(images):
        image.save(folder / f"{number:04d}.png")


def read_images(folder: Path) -> list[Image.Image]:
    """What `save_images` wrote, in order."""
    return [Image.open(path).convert("RGB") for path in sorted(folder.glob("*.png"))]
