"""A cross-attention projection with concepts in it: stands in for `to_k` or `to_v` while they are applied."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import torch
from torch import nn

from perfusion_core.edit.compose import EditCoefficients, apply_edit
from perfusion_core.errors import PerfusionError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from perfusion_core.model.describe import Role


class EditableConcept(Protocol):
    """What the edit needs of a concept: a saved one, or one whose tensors are being learned.

    Shape: target_input (D,), superclass_encoding (D,), values[path] and keys[path] (O,). Without keys (they
    are locked) the superclass encoding must be there.
    """

    @property
    def name(self) -> str: ...
    @property
    def target_input(self) -> torch.Tensor: ...
    @property
    def superclass_encoding(self) -> torch.Tensor | None: ...
    @property
    def values(self) -> Mapping[str, torch.Tensor]: ...
    @property
    def keys(self) -> Mapping[str, torch.Tensor] | None: ...


@dataclass(frozen=True, eq=False)
class EditContext:
    """What the edit does to the batch at hand, the same in every layer.

    `coefficients` cover every row of the batch as the denoiser sees it (negative rows first where guidance
    doubles it). `key_encoding` (B, T, D) is set under the global lock: all keys come from it, unedited.
    """

    coefficients: EditCoefficients
    key_encoding: torch.Tensor | None = None

    @property
    def rows(self) -> int:
        return self.coefficients.gates.shape[0]


@dataclass
class EditState:
    """What all edited projections of one denoiser share."""

    concepts: Sequence[EditableConcept]
    context: EditContext | None = None


@dataclass(frozen=True)
class _Kept:
    """An output, and the very input it belongs to."""

    encoding: torch.Tensor
    version: int
    context: EditContext
    output: torch.Tensor

    def belongs_to(self, encoding: torch.Tensor, context: EditContext) -> bool:
        same = self.encoding is encoding and self.context is context
        return same and self.version == encoding._version


class EditedProjection(nn.Module):
    """Wraps the projection found there (a linear layer, or what LoRA made of it) as `.base`.

    The edit depends on prompt and gates only, never on the latent or the timestep, so without gradients the
    output is kept and given back when the very same input comes again, as it does at each denoising step.
    """

    def __init__(self, base: nn.Module, path: str, role: Role, state: EditState) -> None:
        super().__init__()
        self.base = base
        self.path = path
        self.role: Role = role
        self._state = state
        self._kept: _Kept | None = None
        self.train(base.training)

    @property
    def weight(self) -> Any:
        return self.base.weight

    @property
    def bias(self) -> Any:
        return self.base.bias

    @property
    def context(self) -> EditContext | None:
        """What the edit does to the batch at hand; None while it does nothing."""
        return self._state.context

    def forget(self) -> None:
        """Let go of the kept output."""
        self._kept = None

    def forward(self, encoding: torch.Tensor) -> torch.Tensor:
        """Shape: (B, T, D) -> (B, T, O)."""
        context = self._state.context
        if context is None:
            return self.base(encoding)
        # Tensors made in inference mode have no version, so a change in place could not be seen.
        keep = not torch.is_grad_enabled() and not encoding.is_inference()
        if keep and self._kept is not None and self._kept.belongs_to(encoding, context):
            return self._kept.output
        output = self._edited(encoding, context)
        self._kept = _Kept(encoding, encoding._version, context, output) if keep else None
        return output

    def _edited(self, encoding: torch.Tensor, context: EditContext) -> torch.Tensor:
        gates = context.coefficients.gates
        if encoding.shape[:2] != gates.shape[:2]:
            raise PerfusionError(
                f"The denoiser was given {encoding.shape[0]} prompts of {encoding.shape[1]} tokens, but the "
                f"concepts were set up for {gates.shape[0]} of {gates.shape[1]}. Call the pipeline itself "
                "inside `applied`, not parts of it."
            )
        if self.role == "key" and context.key_encoding is not None:
            return self.base(context.key_encoding.to(encoding))
        projected = self.base(encoding)
        device = encoding.device
        coefficients = EditCoefficients(gates.to(device), context.coefficients.removal.to(device))
        with torch.autocast(device.type, enabled=False):
            targets = self._targets(encoding)
            with torch.no_grad():
                i_stars = torch.stack([concept.target_input for concept in self._state.concepts])
                projected_i_stars = self._linear(i_stars.to(encoding))
            return apply_edit(projected, coefficients, targets, projected_i_stars)

    def _targets(self, like: torch.Tensor) -> torch.Tensor:
        """Each concept's target output here, locked keys from its superclass. Shape: (n, O)."""
        targets: list[torch.Tensor] = []
        for concept in self._state.concepts:
            own = concept.values if self.role == "value" else concept.keys
            if own is not None:
                targets.append(own[self.path].to(like.device, torch.float32))
            else:
                locked_to = concept.superclass_encoding
                assert locked_to is not None, f"{concept.name} has neither keys nor what they are locked to"
                with torch.no_grad():
                    targets.append(self._linear(locked_to.to(like)[None])[0])
        return torch.stack(targets)

    def _linear(self, inputs: torch.Tensor) -> torch.Tensor:
        """The projection without its bias, where it has one. Shape: (n, D) -> (n, O), float32."""
        both = self.base(torch.cat([inputs, torch.zeros_like(inputs[:1])])).float()
        return both[:-1] - both[-1:]
