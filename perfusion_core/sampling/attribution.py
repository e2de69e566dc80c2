"""Attribution: how much each place of an image attended to the words whose gates a concept had opened."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
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
    from perfusion_core.model.base import Base
    from perfusion_core.model.statistics import CovarianceStats
    from perfusion_core.sampling.generator import Progress
    from perfusion_core.sampling.png import ImageRecipe


def acting_maps(
    base: Base,
    concepts: Mapping[str, Concept],
    recipe: ImageRecipe,
    *,
    covariance: CovarianceStats | None = None,
    on_step: Progress | None = None,
) -> dict[str, torch.Tensor]:
    """Generate a recipe's image once more and record its cross-attention.

    A latent pixel's value is the mean, over layers, heads and steps, of its attention to each token times
    that token's gate for the concept, scaled so that the largest is 1. Shape: (height / f, width / f) for
    each concept, f the autoencoder's factor. Raises `PerfusionError` as `generate` does.
    """
    size = (recipe.height // base.description.vae_factor, recipe.width // base.description.vae_factor)
    names = [used.name for used in recipe.concepts]
    watcher = _Watcher(size, len(names), base.description.patch_size)
    with watcher.watching(base.denoiser):
        generate(base, concepts, request_from(recipe), covariance=covariance, on_step=on_step)
    found = watcher.total / watcher.total.amax(dim=(1, 2), keepdim=True).clamp_min(1e-12)
    return {name: found[k] for k, name in enumerate(names)}


class _Watcher:
    """Sums attention times gates over the layers and steps of one image. Shape: total (n, h, w)."""

    def __init__(self, size: tuple[int, int], concepts: int, patch: int = 1) -> None:
        self.size = size
        self.total = torch.zeros(concepts, *size)
        # Sides of the feature map that the next attention reads as a sequence; transformers keep theirs.
        self._grid = (size[0] // patch, size[1] // patch)

    @contextmanager
    def watching(self, denoiser: torch.nn.Module) -> Iterator[None]:
        """The denoiser computes exactly what it would; hooks read the inputs of its cross-attentions."""
        attentions = cross_attentions(denoiser)
        handles = [a.register_forward_pre_hook(self._look, with_kwargs=True) for a in attentions.values()]
        around = _around(denoiser, attentions)
        handles += [m.register_forward_pre_hook(self._note_grid, with_kwargs=True) for m in around]
        try:
            yield
        finally:
            for handle in handles:
                handle.remove()

    def _note_grid(self, _module: Any, inputs: tuple[Any, ...], named: dict[str, Any]) -> None:
        features = inputs[0] if inputs else named.get("hidden_states")
        if isinstance(features, torch.Tensor) and features.ndim == 4:  # (B, C, h, w)
            self._grid = (features.shape[2], features.shape[3])

    @torch.no_grad()
    def _look(self, attention: Any, inputs: tuple[Any, ...], named: dict[str, Any]) -> None:
        pixels = inputs[0] if inputs else named["hidden_states"]  # (B, P, C)
        words = named.get("encoder_hidden_states", inputs[1] if len(inputs) > 1 else None)  # (B, T, D)
        key = attention.to_k
        if words is None or not isinstance(key, EditedProjection) or key.context is None:
            return
        context = key.context_of(words)
        if context is None or not context.prompts:  # negative prompts, given to the denoiser alone
            return
        # The last row is the prompt's own.
        queries = _heads(attention, "norm_q", attention.to_q(pixels[-1:]))
        keys = _heads(attention, "norm_k", key(words)[-1:])
        scores = queries.float() @ keys.float().transpose(1, 2) * attention.scale
        masked = named.get("attention_mask")  # a bias on padded tokens: (B, 1, T)
        if masked is not None:
            scores = scores + masked[-1:].float()
        weights = scores.softmax(dim=-1)  # (heads, P, T)
        gates = context.coefficients.gates[-1].float().to(weights.device)  # (T, n)
        acted = (weights.mean(dim=0) @ gates).T  # (n, P)
        maps = acted.reshape(1, acted.shape[0], *self._grid)
        self.total += functional.interpolate(maps, size=self.size, mode="bilinear")[0].cpu()


def _heads(attention: Any, name: str, projected: torch.Tensor) -> torch.Tensor:
    """Queries or keys by heads, normalised as the attention does it. Shape: (1, S, O) -> (h, S, O / h)."""
    norm = getattr(attention, name, None)
    by_heads = attention.head_to_batch_dim(projected)
    if norm is None:
        return by_heads
    if norm.weight.shape[-1] == by_heads.shape[-1]:  # each head on its own, else across all of them
        return norm(by_heads)
    return attention.head_to_batch_dim(norm(projected))


def _around(denoiser: torch.nn.Module, paths: Iterable[str]) -> list[torch.nn.Module]:
    """The modules that the attentions at `paths` are parts of, outermost first, each once.

    The innermost one that is given a feature map (B, C, h, w) says what grid the attention's sequence is.
    """
    names: dict[str, None] = {}
    for path in paths:
        parts = path.split(".")
        names.update(dict.fromkeys(".".join(parts[:k]) for k in range(1, len(parts))))
    return [module for path, module in denoiser.named_modules() if path.replace("_orig_mod.", "") in names]
