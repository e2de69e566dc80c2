"""Finding the subject: soft masks of a thing named by a word, with CLIPSeg."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from PIL import Image
from transformers import CLIPSegForImageSegmentation, CLIPTokenizer

from perfusion_core.model.image_processor import ImageReader, load_beside, reader_for
from perfusion_core.model.quiet import quiet_libraries

if TYPE_CHECKING:
    from collections.abc import Sequence

DEFAULT_SEGMENTER = "CIDAS/clipseg-rd64-refined"
# One wording may miss what another finds, so masks are averaged over several. The pocket model's segmenter
# was trained with the bare word.
TEMPLATES = ("{}", "a {}", "a photo of a {}", "a picture of the {}")
_BARE = ("{}",)
_BATCH = 8


class Segmenter:
    """A segmentation model, its tokenizer and its image processor."""

    def __init__(
        self,
        name: str,
        model: Any,
        tokenizer: Any,
        reader: ImageReader | None = None,
        templates: Sequence[str] = TEMPLATES,
    ) -> None:
        self.name = name
        self._model = model.eval().requires_grad_(False)
        self._tokenizer = tokenizer
        self._reader = reader or ImageReader(int(model.config.vision_config.image_size), crop=False)
        self._templates = tuple(templates)

    def soft_masks(self, images: Sequence[Image.Image], superclass: str) -> list[np.ndarray[Any, Any]]:
        """The probability of each pixel to belong to the superclass, for each image at its own size.

        Shape: (H, W) each, float32 in 0..1.
        """
        masks: list[np.ndarray[Any, Any]] = []
        for start in range(0, len(images), _BATCH):
            batch = images[start : start + _BATCH]
            found = [self._masks(batch, template.format(superclass)) for template in self._templates]
            mean = torch.stack(found).mean(dim=0)
            masks += [_resized(mask, image.size) for mask, image in zip(mean, batch, strict=True)]
        return masks

    @torch.no_grad()
    def _masks(self, images: Sequence[Image.Image], text: str) -> torch.Tensor:
        """Shape: (B, size, size), in 0..1."""
        text_config = self._model.config.text_config
        limit = min(self._tokenizer.model_max_length, text_config.max_position_embeddings)
        tokens = self._tokenizer(
            [text] * len(images), padding="max_length", max_length=limit, truncation=True, return_tensors="pt"
        )
        pixels = self._reader(images).to(self._model.device)
        logits = self._model(input_ids=tokens.input_ids.to(pixels.device), pixel_values=pixels).logits
        # A batch of one comes back without its batch dimension.
        return logits.float().reshape(len(images), *logits.shape[-2:]).sigmoid().cpu()


def load_segmenter(base: Any = None, source: str | Path | None = None, device: str = "cpu") -> Segmenter:
    """The segmenter that belongs to a base: its own `mask` folder (pocket), else CLIPSeg from cache or hub.

    Raises BaseModelError when it is absent; callers may go on without masks.
    """
    folder = getattr(base, "folder", None)
    place, templates = str(source or DEFAULT_SEGMENTER), TEMPLATES
    name = place
    if source is None and folder and (Path(folder) / "mask").is_dir():
        place, name, templates = str(Path(folder) / "mask"), f"{base.id} masks", _BARE

    def load(place: str, local_files_only: bool) -> Segmenter:
        model: Any = CLIPSegForImageSegmentation.from_pretrained(
            place, use_safetensors=True, dtype=torch.float32, local_files_only=local_files_only
        )
        tokenizer = CLIPTokenizer.from_pretrained(place, local_files_only=local_files_only)
        reader = reader_for(model, place, crop=False)
        return Segmenter(name, model.to(device), tokenizer, reader, templates)

    with quiet_libraries():
        return load_beside(load, place, "finds the subject in photos")


def _resized(mask: torch.Tensor, size: tuple[int, int]) -> np.ndarray[Any, Any]:
    """Shape: (h, w) -> (H, W) for size (W, H)."""
    image = Image.fromarray(mask.numpy().astype(np.float32))
    return np.asarray(image.resize(size, Image.Resampling.BILINEAR), dtype=np.float32).clip(0.0, 1.0)
