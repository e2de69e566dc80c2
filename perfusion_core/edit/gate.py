"""One projection, one concept: the gated rank-one edit (Perfusion, SIGGRAPH 2023, equation 3).

Glossary; the names are the paper's, and are used inside ``perfusion_core/edit`` only:

    encoding             e      (B, T, D)  text-encoder output, one row a token position
    weight               W      (O, D)     a frozen cross-attention projection, to_k or to_v, without bias
    i_star               i*     (D,)       target input: where the concept lives in text-encoding space
    o_star               o*     (O,)       target output: what the projection must emit there
    inverse_covariance   C⁻¹    (D, D)     inverse of the uncentered second moment of text encodings
    energy               E      ()         ⟨i*, i*⟩, with ⟨a, b⟩ = aᵀ C⁻¹ b
    similarity           sim    (B, T)     ⟨i*, e⟩ / E: 1 where the token *is* the concept, 0 where unrelated
    bias, temperature    β, τ              the gate opens around sim = β, over a width of some 2τ
    gate                 σ      (B, T)     σ((sim − β) / τ): 1 open, 0 closed
    removal                                what of i* is taken out of W e: see ``Removal``

    h = W (e − sim·i*) + gate·o*  =  W e + gate·o* − sim·(W i*)          removal="paper"
    h =                              W e + gate·(o* − sim·(W i*))        removal="gated"

Under "paper" every token loses its i* component, even where the gate is closed, so prompts without the
concept drift a little. Under "gated" a closed gate leaves its token exactly as it was.

All functions are differentiable in every tensor and keep the dtype they are given (float32 is expected).
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from perfusion_core.edit.choices import Removal


def similarity(encoding: Tensor, i_star: Tensor, inverse_covariance: Tensor) -> Tensor:
    """⟨i*, e⟩ / ⟨i*, i*⟩ for every token.

    Shape: encoding (B, T, D), i_star (D,), inverse_covariance (D, D) -> (B, T), without unit.
    """
    return encoding @ probe(i_star, inverse_covariance)


def probe(i_star: Tensor, inverse_covariance: Tensor) -> Tensor:
    """C⁻¹ i* / E: the vector whose dot product with an encoding is its similarity, for preparing once.

    Shape: i_star (..., D), inverse_covariance (D, D) -> (..., D).
    """
    direction = i_star @ inverse_covariance.mT
    energy = (direction * i_star).sum(-1, keepdim=True)
    return direction / energy


def gate(similarity: Tensor, bias: Tensor | float, temperature: Tensor | float) -> Tensor:
    """σ((sim − β) / τ). Shape: any, with bias and temperature broadcast against it; values in 0..1."""
    return torch.sigmoid((similarity - bias) / temperature)


def edit(
    encoding: Tensor,
    weight: Tensor,
    i_star: Tensor,
    o_star: Tensor,
    inverse_covariance: Tensor,
    bias: Tensor | float,
    temperature: Tensor | float,
    removal: Removal,
) -> Tensor:
    """The edited projection of every token: equation 3, or its variant with the removal gated too.

    Shape: encoding (B, T, D), weight (O, D), i_star (D,), o_star (O,), inverse_covariance (D, D)
    -> (B, T, O).
    """
    sim = similarity(encoding, i_star, inverse_covariance)
    opening = gate(sim, bias, temperature)
    removed = sim if removal == "paper" else opening * sim
    projected_i_star = functional.linear(i_star, weight)
    kept = functional.linear(encoding, weight)  # (B, T, O)
    return kept + opening.unsqueeze(-1) * o_star - removed.unsqueeze(-1) * projected_i_star
