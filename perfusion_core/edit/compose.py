# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# (torch.linalg has no types)
"""Several concepts, trained apart, in one projection (the paper's Appendix B).

Every token loses its component in span(i*_1 … i*_n), taken in the C⁻¹ metric, and gains every concept's gated
o*. With G_jk = ⟨i*_j, i*_k⟩ that component is Σ_j c_j i*_j where G c = (⟨i*_j, e⟩)_j: the same as the paper's
Cholesky + QR route without needing either. Row j is divided by G_jj, so the right side is the similarities:

    (I + R) c = sim,            R_jk = G_jk / G_jj off the diagonal, 0 on it               removal="paper"
    (I + R diag(gate)) x = sim,  c = gate ∘ x                                              removal="gated"

The second removes the component in the span of the concepts that are *open*, smoothly: with all gates open it
is the first, with one concept it is gate·sim, and a concept whose gate is closed drops out of the system
altogether, so loading a concept that a prompt does not use changes nothing.

Both are ridge regressions of e on the i*_j, with the penalty G_jj (1/gate_j − 1) on c_j, 0 under "paper". So
what they remove is defined for linearly dependent i* too, as of two concepts that share one, and only c is
not. There, gates count as at most 1 − RIDGE in the system.
Glossary of symbols: see ``gate.py``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from perfusion_core.edit.choices import Removal
from perfusion_core.edit.gate import gate, probe
from perfusion_core.errors import ConceptError

# Least eigenvalue of the correlation of the i*: below it similarities no longer tell concepts apart.
SMALLEST_SEPARATION = 0.01
# Relative error, at most, of what is removed for linearly dependent i*; keeps their system solvable.
RIDGE = 1e-3


@dataclass(frozen=True)
class EditCoefficients:
    """What the edit does to every token, the same in every layer.

    gates (B, T, n): how much of each concept's o* is added.
    removal (B, T, n): how much of each i* is taken out.
    """

    gates: Tensor
    removal: Tensor

    def within(self, present: Tensor | None) -> EditCoefficients:
        """The same where `present`, nothing elsewhere; None: everywhere. Shape: (B, T).

        The paper's gate is never quite shut. At a token that is padding there is nothing to edit, and an
        attention that normalises its keys would make a whole superclass of the little that comes through.
        """
        if present is None:
            return self
        shown = present.to(self.gates.device, torch.bool).unsqueeze(-1)
        return EditCoefficients(torch.where(shown, self.gates, 0.0), torch.where(shown, self.removal, 0.0))


def coefficients(
    encoding: Tensor,
    i_stars: Tensor,
    inverse_covariance: Tensor,
    bias: Tensor,
    temperature: Tensor,
    removal: Removal,
    names: Sequence[str] = (),
    known: Tensor | None = None,
) -> EditCoefficients:
    """Gates and removal coefficients of n concepts for every token.

    Shape: encoding (B, T, D), i_stars (n, D), inverse_covariance (D, D), bias (n,) or (B, n), temperature
    (n,) or (B, n), known (B, T, n) -> two of (B, T, n). ``names`` only serve the message.
    ``known`` (ours, not the paper's) holds similarities to set gates by where they need no measuring: 1 at a
    concept's own placeholder, 0 at another concept's; NaN elsewhere.
    Raises ConceptError when two concepts share (nearly) one i* and a token has to be measured for both, so
    that they cannot be told apart.
    """
    similarities = encoding @ probe(i_stars, inverse_covariance).mT  # (B, T, n)
    judged = similarities if known is None else torch.where(known.isnan(), similarities, known)
    opening = gate(judged, _over_tokens(bias), _over_tokens(temperature))
    count = i_stars.shape[0]
    if count == 1:
        return EditCoefficients(opening, similarities if removal == "paper" else opening * similarities)
    correlation, overlap = _correlation(i_stars, inverse_covariance)
    most = 1.0
    if not _separate(correlation):
        _require_told_apart(correlation, known, names)
        most = 1 - RIDGE
    identity = torch.eye(count, dtype=overlap.dtype, device=overlap.device)
    if removal == "paper":
        return EditCoefficients(opening, torch.linalg.solve(identity + most * overlap, similarities.mT).mT)
    weights = opening.clamp(max=most)
    system = identity + overlap * weights.unsqueeze(-2)  # (B, T, n, n)
    solved = torch.linalg.solve(system, similarities.unsqueeze(-1)).squeeze(-1)
    return EditCoefficients(opening, weights * solved)


def apply_edit(
    projected: Tensor, coefficients: EditCoefficients, o_stars: Tensor, projected_i_stars: Tensor
) -> Tensor:
    """W e + Σ_j gate_j o*_j − Σ_j c_j W i*_j.

    Computed in the coefficients' precision, returned in that of W e.

    Shape: projected (B, T, O), o_stars (n, O), projected_i_stars (n, O) = W i*_j -> (B, T, O). The last two
    are (B, n, O) where each row has concepts of its own.
    """
    gates, removal = coefficients.gates, coefficients.removal
    change = gates @ o_stars.to(gates.dtype) - removal @ projected_i_stars.to(gates.dtype)
    return (projected + change).to(projected.dtype)


def _over_tokens(setting: Tensor) -> Tensor:
    """(n,) stays; (B, n) becomes (B, 1, n)."""
    return setting if setting.ndim < 2 else setting.unsqueeze(-2)


def _correlation(i_stars: Tensor, inverse_covariance: Tensor) -> tuple[Tensor, Tensor]:
    """G scaled to ones on its diagonal, on the CPU (Apple's GPUs have no eigenvalues), and R.

    Shape: (n, n) each.
    """
    gram = i_stars @ inverse_covariance @ i_stars.mT
    energy = gram.diagonal()
    scale = energy.detach().rsqrt()
    correlation = (scale.unsqueeze(1) * gram.detach() * scale).cpu()
    identity = torch.eye(len(gram), dtype=gram.dtype, device=gram.device)
    return correlation, gram / energy.unsqueeze(1) - identity


def _separate(correlation: Tensor) -> bool:
    return bool(torch.linalg.eigvalsh(correlation)[0] >= SMALLEST_SEPARATION)


def _require_told_apart(correlation: Tensor, known: Tensor | None, names: Sequence[str]) -> None:
    """Raise ConceptError where concepts that are not separate are measured at one token. known (B, T, n)."""
    count = len(correlation)
    everywhere = torch.ones(1, count, dtype=torch.bool)
    together = everywhere if known is None else known.isnan().reshape(-1, count).cpu().unique(dim=0)
    for measured in together:
        chosen = measured.nonzero().flatten()
        part = correlation[chosen][:, chosen]
        if len(chosen) < 2 or _separate(part):
            continue
        closest = int((part.abs() - 2 * torch.eye(len(part)).to(part)).argmax())
        pair = sorted(int(chosen[k]) for k in divmod(closest, len(part)))
        first, second = (names[k] if names else f"number {k + 1}" for k in pair)
        raise ConceptError(
            f"The concepts {first} and {second} were learned as nearly the same thing and cannot be told "
            "apart in one picture. Leave one out, or teach one of them again with another kind of thing or "
            "for longer."
        )
