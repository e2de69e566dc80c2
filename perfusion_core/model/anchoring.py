"""What is known of a prompt's words without measuring: which of them are a concept, and which are not.

The paper opens a gate where a token's encoding is similar to i*. That cannot work where the encoding is the
same as another word's: a concept whose word embedding was not trained, or hardly, is read exactly as its
superclass, so that a "cat" written plainly beside `<midnight>` would be drawn as midnight too. We know where
the placeholders and the plain superclass words stand, so for such a concept, which has no word of its own, a
token is measured only if the concept is the nearest mention of its kind at or before it, and counts as
unrelated elsewhere. (CLIP's text encoders read from left to right, so that a token carries what stands before
it; for T5, which reads both ways, nearness is an approximation.) A superclass word right beside the
placeholder, as in "my cat <midnight>" and "a <midnight> cat", says what the concept is and belongs to its
mention.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from perfusion_core.edit.gate import similarity

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from perfusion_core.concept import Concept
    from perfusion_core.model.text import PromptEncoder, PromptEncoding

# The similarity of the superclass word, in the concept's place, from which on it passes for the concept: the
# least that training accepts of the concept's own word. The two bundled concepts have 0.67 and 0.62; with a
# tenth of what their words learned it is 0.98.
SAME_WORD = 0.9


def without_own_word(
    concepts: Sequence[Concept], encoder: PromptEncoder, inverse_covariance: torch.Tensor
) -> frozenset[str]:
    """The names of the concepts that similarity cannot tell from their superclass written plainly.

    Shape: inverse_covariance (D, D).
    """
    inverse = inverse_covariance.to("cpu", torch.float32)
    return frozenset(
        concept.name
        for concept in concepts
        if float(similarity(_plain(concept, encoder)[None, None], concept.target_input, inverse)) >= SAME_WORD
    )


def known_similarities(
    prompts: PromptEncoding, concepts: Sequence[Concept], unworded: Collection[str]
) -> torch.Tensor:
    """Each concept's similarity at the tokens where it is known, NaN where it has to be measured.

    1 at a concept's own placeholder and 0 at another's; for the `unworded` also 0 wherever something else of
    their kind, or nothing, was mentioned last. Of encodings that the caller made nothing is known.

    Shape: (P, T, n).
    """
    tokens = prompts.encoding.shape[1]
    known = torch.full((*prompts.encoding.shape[:2], len(concepts)), float("nan"))
    for row, plain in enumerate(prompts.superclass_positions):
        for column, concept in enumerate(concepts):
            if concept.name not in unworded:
                continue
            placeholders = prompts.positions[row].get(concept.name, [])
            own, others = _mentions(placeholders, plain.get(concept.name, []))
            others += [
                place
                for other in concepts
                if other is not concept and _kind(other) == _kind(concept)
                for place in prompts.positions[row].get(other.name, [])
            ]
            measured = _follows(own, others, tokens)
            known[row, ~measured, column] = 0.0
    names = [concept.name for concept in concepts]
    for row, found in enumerate(prompts.positions):
        for name, positions in found.items():
            known[row, positions] = 0.0
            known[row, positions, names.index(name)] = 1.0
    return known


def _mentions(placeholders: Collection[int], plain: Collection[int]) -> tuple[list[int], list[int]]:
    """The positions of a concept with the superclass words that touch its placeholders, and those apart."""
    own, others = set(placeholders), set(plain)
    while touching := {place for place in others if own & {place - 1, place + 1}}:
        own |= touching
        others -= touching
    return sorted(own), sorted(others)


def _follows(own: Collection[int], others: Collection[int], tokens: int) -> torch.Tensor:
    """Where the last of all the positions up to a token is one of `own`. Shape: (T,), bool."""
    follows = torch.zeros(tokens, dtype=torch.bool)
    for start in sorted({*own, *others}):
        follows[start:] = start in own
    return follows


def _plain(concept: Concept, encoder: PromptEncoder) -> torch.Tensor:
    """The encoding of the superclass word in the concept's place. Shape: (D,)."""
    if concept.superclass_encoding is not None:
        return concept.superclass_encoding
    encoded = encoder.encode([f"a photo of a <{concept.name}>"], {concept.name: concept})
    return encoded.superclass_encoding[0, encoded.positions[0][concept.name][0]].cpu()


def _kind(concept: Concept) -> str:
    return " ".join(concept.superclass.lower().split())
