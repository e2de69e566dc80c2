# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# (torch.linalg has no types)
"""The uncentered second moment C of text encodings, gathered in a stream, and its inverse.

C says how common every direction of text-encoding space is; its inverse is the metric in which i* is compared
with other tokens, so that what all words share counts for little. Gathered in float64: hundreds of thousands
of outer products of numbers that differ by four orders of magnitude lose too much in float32.
"""

from __future__ import annotations

import torch
from torch import Tensor


class SecondMoment:
    """Σ e eᵀ and the number of encodings, in float64 on the CPU."""

    def __init__(self, width: int) -> None:
        self.count = 0
        self._total = torch.zeros(width, width, dtype=torch.float64)

    @torch.no_grad()
    def update(self, encodings: Tensor) -> None:
        """Add encodings. Shape: (..., D); every row counts as one."""
        rows = (
            encodings.detach().reshape(-1, self._total.shape[0]).cpu().double()
        )  # in two steps: Apple's GPUs know no float64
        self._total.addmm_(rows.mT, rows)
        self.count += len(rows)

    def covariance(self) -> Tensor:
        """C, the mean of e eᵀ. Shape: (D, D), float64, symmetric."""
        assert self.count > 0, "no encodings were added"
        # Rounding leaves the two triangles a bit apart; an exactly symmetric C keeps its inverse so as well.
        return (self._total + self._total.mT) / (2 * self.count)


def inverse(covariance: Tensor, *, ridge: float) -> Tensor:
    """(C + ridge·mean eigenvalue·I)⁻¹: well-conditioned whatever C is.

    Directions that hardly occur in the captions would otherwise get an enormous weight from a handful of
    words (or an infinite one from rounding). The ridge, relative to the mean eigenvalue, bounds that weight,
    and with it the condition number by 1 + D / ridge, for every C (its largest eigenvalue is at most D mean
    ones). Done through the eigenvectors in float64, so the result is symmetric and positive definite.

    Shape: (D, D) -> (D, D) float32.
    """
    eigenvalues, eigenvectors = _regularised(covariance, ridge)
    # V diag(λ^-½) times its own transpose is symmetric by construction, unlike V diag(1/λ) Vᵀ.
    half = eigenvectors * eigenvalues.rsqrt()
    return (half @ half.mT).to(torch.float32)


def condition_number(covariance: Tensor, *, ridge: float) -> float:
    """Largest over smallest eigenvalue of what ``inverse`` inverts. Shape: (D, D)."""
    eigenvalues, _ = _regularised(covariance, ridge)
    return float(eigenvalues[-1] / eigenvalues[0])


def _regularised(covariance: Tensor, ridge: float) -> tuple[Tensor, Tensor]:
    assert ridge > 0, "without a ridge the inverse may not exist"
    exact = covariance.cpu().double()
    eigenvalues: Tensor
    eigenvectors: Tensor
    eigenvalues, eigenvectors = torch.linalg.eigh((exact + exact.mT) / 2)
    mean = eigenvalues.mean()
    assert bool(mean > 0), "a covariance of nothing but zeros has no inverse"
    return eigenvalues.clamp(min=0) + ridge * mean, eigenvectors
