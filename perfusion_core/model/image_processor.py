"""Images as the tensors that CLIP-like encoders read, with Pillow and torch alone."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from PIL import Image

from perfusion_core.errors import BaseModelError
from perfusion_core.model.hub import hub_answers

if TYPE_CHECKING:
    from collections.abc import Sequence

Triple = tuple[float, float, float]
CLIP_MEAN: Triple = (0.48145466, 0.4578275, 0.40821073)
CLIP_STD: Triple = (0.26862954, 0.26130258, 0.27577711)


@dataclass(frozen=True)
class ImageReader:
    """Turns images into normalised pixels of one size.

    With `crop`, the shorter side is fitted and the middle kept, as CLIP was trained; without, the whole
    image is resized to the square without keeping its proportions, as a segmenter needs.
    """

    size: int
    crop: bool
    mean: Triple = CLIP_MEAN
    std: Triple = CLIP_STD

    def __call__(self, images: Sequence[Image.Image]) -> torch.Tensor:
        """Shape: (B, 3, size, size), float32."""
        fitted = [np.asarray(self._fitted(image), dtype=np.float32) for image in images]
        pixels = np.stack(fitted) / 255
        normalised = (pixels - np.array(self.mean, np.float32)) / np.array(self.std, np.float32)
        return torch.from_numpy(normalised.transpose(0, 3, 1, 2).copy())

    def _fitted(self, image: Image.Image) -> Image.Image:
        image = image.convert("RGB")
        whole = (self.size, self.size)
        if not self.crop:
            return image.resize(whole, Image.Resampling.BICUBIC)
        side = min(image.size)
        left, top = (image.width - side) / 2, (image.height - side) / 2
        return image.resize(whole, Image.Resampling.BICUBIC, box=(left, top, left + side, top + side))


def reader_for(model: Any, source: str, crop: bool) -> ImageReader:
    """The reader of a saved vision model: size from its config, mean and deviation from its settings."""
    settings = _settings(source)
    mean, std = settings.get("image_mean", CLIP_MEAN), settings.get("image_std", CLIP_STD)
    size = int(model.config.vision_config.image_size)
    # CLIPSeg's encoder was made for 224 pixels and its decoder trained at 352: its settings say so.
    asked = settings.get("size")
    if not crop and isinstance(asked, dict) and "height" in asked:
        size = int(asked["height"])
    elif not crop and isinstance(asked, int):
        size = asked
    return ImageReader(size, crop, tuple(mean), tuple(std))


def _settings(source: str) -> dict[str, Any]:
    """preprocessor_config.json beside the weights; nothing when there is none."""
    from transformers.utils.hub import cached_file

    path = cached_file(
        source,
        "preprocessor_config.json",
        local_files_only=True,
        _raise_exceptions_for_missing_entries=False,
        _raise_exceptions_for_connection_errors=False,
    )
    return json.loads(Path(path).read_text("utf-8")) if path else {}


def load_beside(load: Any, source: str, purpose: str) -> Any:
    """`load(source, local_files_only=...)`: from this machine, else from the hub.

    Raises BaseModelError naming the model and what it is for.
    """
    try:
        return load(source, local_files_only=True)
    except (OSError, ValueError):
        if Path(source).is_dir():
            raise BaseModelError(
                f"The model in {source}, which {purpose}, is damaged. Get the project or that model again."
            ) from None
    absent = f"{source}, which {purpose}, is not on this machine and could not be fetched"
    if not hub_answers():
        raise BaseModelError(
            f"{absent} (the hub does not answer). Connect to the internet once, or go on without it."
        )
    try:
        return load(source, local_files_only=False)
    except Exception as error:  # a hub that refuses, a broken download: the same advice applies
        raise BaseModelError(f"{absent}. Look at the connection, or go on without it.") from error
