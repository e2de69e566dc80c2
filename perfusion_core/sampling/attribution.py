"""Where in a picture each concept acted: how much the picture attended to words, times how open their "
"gates were."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import torch
from torch.nn import functional

from perfusion_core.model.describe import cross_attentions
from perfusion_core.model.projection import EditedProjection
from perfusion_core.sampling.generator import generate
from perfusion_core.sampling.repeat import request_from

if TYPE_CHECKING:
    from perfusion_core.concept import Concept
    from perfusion_core.model.base import BaseModel
    from perfusion_core.model.statistics import CovarianceStats
    from perfusion_core.sampling.generator import Progress
    from perfusion_core.sampling.png import ImageRecipe


def acting_maps(
    base: BaseModel,
    concepts: Mapping[str, Concept],
    recipe: ImageRecipe,
    *,
    covariance: CovarianceStats | None = None,
    on_step: Progress | None = None,
) -> dict[str, torch.Tensor]:
    """Draw a recipe's picture once more and look on. Shape: (height / 8, width / 8) a concept, 0..1 at its
    largest.

    A pixel's value is the mean, over layers, heads and steps, of its attention to each word times that word's
    gate for the concept. Raises `PerfusionError` as `generate` does.
    """
    size = (recipe.height // base.description.vae_factor, recipe.width // base.description.vae_factor)
    names = [used.name for used in recipe.concepts]
    watcher = _Watcher(size, len(names))
    with watcher.watching(base.unet):
        generate(base, concepts, request_from(recipe), covariance=covariance, on_step=on_step)
    found = watcher.total / watcher.total.amax(dim=(1, 2), keepdim=True).clamp_min(1e-12)
    return {name: found[k] for k, name in enumerate(names)}


class _Watcher:
    """Adds up attention times gates over the layers and steps of one picture. Shape: total (n, h, w)."""

    def __init__(self, size: tuple[int, int], concepts: int) -> None:
        self.size = size
        self.total = torch.zeros(concepts, *size)

    @contextmanager
    def watching(self, denoiser: torch.nn.Module) -> Iterator[None]:
        """The denoiser computes exactly what it would; its cross-attentions are looked at before each "
        "call."""
        modules = cross_attentions(denoiser).values()
        handles = [module.register_forward_pre_hook(self._look, with_kwargs=True) for module in modules]
        try:
            yield
        finally:
            for handle in handles:
                handle.remove()

    @torch.no_grad()
    def _look(self, attention: Any, inputs: tuple[Any, ...], named: dict[str, Any]) -> None:
        pixels = inputs[0] if inputs else named["hidden_states"]  # (B, P, C)
        words = named.get("encoder_hidden_states", inputs[1] if len(inputs) > 1 else None)  # (B, T, D)
        key = attention.to_k
        if words is None or not isinstance(key, EditedProjection) or key.context is None:
            return
        queries = attention.head_to_batch_dim(
            attention.to_q(pixels[-1:])
        )  # the last row is the guided picture
        keys = attention.head_to_batch_dim(key(words)[-1:])
        weights = (queries.float() @ keys.float().transpose(1, 2) * attention.scale).softmax(
            dim=-1
        )  # (H, P, T)
        gates = key.context.coefficients.gates[-1].float().to(weights.device)  # (T, n)
        acted = (weights.mean(dim=0) @ gates).T  # (n, P)
        rows = round((acted.shape[1] * self.size[0] / self.size[1]) ** 0.5)
        maps = acted.view(1, acted.shape[0], rows, -1)
        self.total += functional.interpolate(maps, size=self.size, mode="bilinear")[0].cpu()
