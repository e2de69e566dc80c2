"""Keeping the concept's word recognisable in every context.

In a small text encoder a word's encoding depends on the words before it as much as on itself, so the gate,
which knows the concept by its similarity to i*, stays closed where the prompt begins otherwise than the
templates do: measured on the bundled base, the word behind "a pencil sketch of" had similarity 0.07 instead
of 1, and 0.39 behind "a red". So while the embedding learns from the photos it also learns that the
concept's own token has similarity 1 in other contexts. That costs a few more prompts in the text encoder
and nothing in the denoiser. The presets for Stable Diffusion leave it off, as the paper does.
"""

from __future__ import annotations

import torch
from torch import Tensor

from perfusion_core.edit.gate import similarity
from perfusion_core.model.text import PromptEncoding
from perfusion_core.training.learned import concept_tokens

# Other styles, colours, places and neighbours than a photo has; none of them is shown to the denoiser.
CONTEXTS = (
    "a pencil drawing of a {}",
    "pixel art of my {} at night",
    "a black and white photo of the {}",
    "a red {} in the city",
    "a photo of a green {}",
    "a tree and a {}",
    "a photo of a chair beside my {}",
    "the {} wearing a cap under the sea",
    "a small {} on a table",
    "a painting of {} and a book",
    "a photo of a {} next to a lamp",
    "{} on a yellow background",
)
CONTEXTS_A_STEP = 6


def pick_contexts(placeholder: str, generator: torch.Generator) -> tuple[str, ...]:
    """CONTEXTS_A_STEP of the contexts, at random, with the concept in them."""
    chosen = torch.randperm(len(CONTEXTS), generator=generator)[:CONTEXTS_A_STEP]
    return tuple(CONTEXTS[int(k)].format(placeholder) for k in chosen)


def clarity_loss(
    encoded: PromptEncoding, name: str, target_input: Tensor, inverse_covariance: Tensor
) -> Tensor:
    """How far the concept's tokens are from similarity 1, squared, on average over the prompts.

    The tokens behind it are left alone: they carry the concept on, and the denoiser looks at them too.
    Shape: target_input (D,), inverse_covariance (D, D) -> (). Gradients flow to the encodings.
    """
    tokens = concept_tokens(encoded, name)  # (B, D)
    return (similarity(tokens[None], target_input, inverse_covariance) - 1).square().mean()
