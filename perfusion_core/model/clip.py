"""CLIP features of images and texts as unit vectors; their dot products are the similarity scores."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from transformers import CLIPModel, CLIPTokenizer

from perfusion_core.model.image_processor import ImageReader, load_beside, reader_for
from perfusion_core.model.quiet import quiet_libraries

if TYPE_CHECKING:
    from collections.abc import Sequence

    from PIL import Image

DEFAULT_SCORER = "openai/clip-vit-base-patch32"
_BATCH = 32


class ClipScorer:
    """A CLIP model, its tokenizer and its image processor. `name` is stored with every score."""

    def __init__(self, name: str, model: Any, tokenizer: Any, reader: ImageReader | None = None) -> None:
        self.name = name
        self._model = model.eval().requires_grad_(False)
        self._tokenizer = tokenizer
        self._reader = reader or ImageReader(int(model.config.vision_config.image_size), crop=True)

    @torch.no_grad()
    def image_features(self, images: Sequence[Image.Image]) -> torch.Tensor:
        """Shape: (B, F), float32, each row of length 1."""
        found = [
            _pooled(self._model.get_image_features(pixel_values=pixels.to(self._model.device)))
            for pixels in self._reader(images).split(_BATCH)
        ]
        return _unit(torch.cat(found))

    @torch.no_grad()
    def text_features(self, texts: Sequence[str]) -> torch.Tensor:
        """Shape: (B, F), float32, each row of length 1. Texts past the token limit are cut."""
        limit = min(self._tokenizer.model_max_length, self._model.config.text_config.max_position_embeddings)
        tokens = self._tokenizer(
            list(texts), padding="max_length", max_length=limit, truncation=True, return_tensors="pt"
        )
        return _unit(
            _pooled(self._model.get_text_features(input_ids=tokens.input_ids.to(self._model.device)))
        )


def load_scorer(base: Any = None, source: str | Path | None = None, device: str = "cpu") -> ClipScorer:
    """The scorer of a base: its own `clip` folder (pocket), else OpenAI's CLIP from cache or hub.

    `source` names another folder or hub id. Raises BaseModelError when it is absent; callers may go on
    without.
    """
    folder = getattr(base, "folder", None)
    place = str(source or DEFAULT_SCORER)
    name = place
    if source is None and folder and (Path(folder) / "clip").is_dir():
        place, name = str(Path(folder) / "clip"), f"{base.id} CLIP"

    def load(place: str, local_files_only: bool) -> ClipScorer:
        model: Any = CLIPModel.from_pretrained(
            place, use_safetensors=True, dtype=torch.float32, local_files_only=local_files_only
        )
        tokenizer = CLIPTokenizer.from_pretrained(place, local_files_only=local_files_only)
        return ClipScorer(name, model.to(device), tokenizer, reader_for(model, place, crop=True))

    with quiet_libraries():
        return load_beside(load, place, "scores pictures")


def _pooled(output: Any) -> torch.Tensor:
    return output if isinstance(output, torch.Tensor) else output.pooler_output


def _unit(features: torch.Tensor) -> torch.Tensor:
    return torch.nn.functional.normalize(features.float(), dim=-1)
