"""Keeping the concept's word recognisable in every context.

In a small text encoder a word's encoding depends on the words before it as much as on itself, and the words
behind it carry it on. Measured on the bundled base, the concept's word behind "a pencil sketch of" had
similarity 0.07 to i* instead of 1, so that its gate stayed closed; and the words behind it up to 1.35, so
that no gate bias in use could close theirs and the slider was dead. So while the embedding learns from the
photos it also learns that the concept's own token has similarity 1 in other contexts, and that no token
behind it is more similar than MAX_FOLLOWER_SIMILARITY. That costs a few more prompts in the text encoder and
nothing in the denoiser. The presets for Stable Diffusion leave it off, as the paper does.
"""

from __future__ import annotations

import torch
from torch import Tensor

from perfusion_core.edit.gate import similarity
from perfusion_core.model.text import PromptEncoding

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
MAX_FOLLOWER_SIMILARITY = 0.8
REACH = 6  # following tokens that are penalised; further on the similarity has decayed


def pick_contexts(placeholder: str, generator: torch.Generator) -> tuple[str, ...]:
    """CONTEXTS_A_STEP of the contexts, at random, with the concept in them."""
    chosen = torch.randperm(len(CONTEXTS), generator=generator)[:CONTEXTS_A_STEP]
    return tuple(CONTEXTS[int(k)].format(placeholder) for k in chosen)


def clarity_loss(
    encoded: PromptEncoding, name: str, target_input: Tensor, inverse_covariance: Tensor
) -> Tensor:
    """Squared deviation of the concept's token from similarity 1, and of later tokens above the limit.

    Both squared, on average. Some similarity behind it is right: those tokens carry the concept on, and the
    denoiser reads them too.
    Shape: target_input (D,), inverse_covariance (D, D) -> (). Gradients flow to the encodings.
    """
    found = similarity(encoded.encoding, target_input, inverse_covariance)  # (B, T)
    places = torch.tensor([spots[name][-1] for spots in encoded.positions], device=found.device)
    own = found[torch.arange(len(found), device=found.device), places]
    columns = torch.arange(found.shape[1], device=found.device)
    behind = (columns > places[:, None]) & (columns <= places[:, None] + REACH)
    excess = (found - MAX_FOLLOWER_SIMILARITY).relu().square()
    return (own - 1).square().mean() + (excess * behind).sum() / behind.sum().clamp(min=1)
