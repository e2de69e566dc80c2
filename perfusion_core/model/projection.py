"""A cross-attention projection with concepts: replaces `to_k` or `to_v` while they are applied."""

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
    """What the edit does to the current batch, the same in every layer.

    `coefficients` cover every row of the batch as the denoiser sees it (negative rows first where guidance
    doubles it). `key_encoding` (B, T, D) is set under the global lock: all keys come from it, unedited.
    `expected` (B, T, D') is the text that the denoiser has to be given, of which the rows from `positive` on
    are the prompts' own; None leaves that unchecked. `negative` is the very tensor of the rows before, where
    the denoiser may be given them alone: it tells them from the others where both say the same. `prompts`:
    whether the prompts' own rows are among them. `owners` (B,) says which concept alone edits each row,
    and the coefficients are then (B, T, 1); None: all concepts edit every row.
    """

    coefficients: EditCoefficients
    key_encoding: torch.Tensor | None = None
    expected: torch.Tensor | None = None
    positive: int = 0
    negative: torch.Tensor | None = None
    owners: torch.Tensor | None = None
    prompts: bool = True

    @property
    def rows(self) -> int:
        return self.coefficients.gates.shape[0]

    def part(self, encoding: torch.Tensor) -> EditContext:
        """The context of the rows in `encoding`: all, or the positive or the negative ones where the denoiser
        is given them in turn or guidance was dropped.

        Raises PerfusionError for any other text. Shape: encoding (b, T, D').
        """
        if self.expected is None or _holds(self.expected, encoding):
            return self
        halves = [slice(self.positive, None), slice(0, self.positive)]
        if encoding is self.negative:
            halves.reverse()
        for rows in halves if self.positive else ():
            if _holds(self.expected[rows], encoding):
                return EditContext(
                    EditCoefficients(self.coefficients.gates[rows], self.coefficients.removal[rows]),
                    None if self.key_encoding is None else self.key_encoding[rows],
                    owners=None if self.owners is None else self.owners[rows],
                    prompts=rows.start > 0,
                )
        raise PerfusionError(
            "The denoiser was given a text that is not the text the concepts were set up for: another "
            "pipeline shares it, a callback changed the prompt, or it is run a third time (perturbed "
            f"attention guidance). {_OWN_BLOCK}"
        )


_OWN_BLOCK = (
    "Call the pipeline that was given to `applied`, once a prompt; for another pipeline on the same "
    "denoiser, open `with applied(that_pipeline, ...)` after this block."
)


@dataclass
class EditState:
    """What all edited projections of one denoiser share.

    With `guarded`, a call without a context is an error: the text in it was not read for concepts. Where
    the denoiser changes the text before its projections read it (`reads_changed`), the text is compared as
    the denoiser is given it (`enter`), and the projections take the context that was found then.
    """

    concepts: Sequence[EditableConcept]
    context: EditContext | None = None
    guarded: bool = False
    reads_changed: bool = False
    _entered: EditContext | None = None
    _seen: tuple[_Seen, ...] = ()

    def enter(self, given: torch.Tensor) -> None:
        """Find the context for a call of the denoiser with this text. Shape: given (b, T, D')."""
        self._entered = self._found(given)

    def context_of(self, encoding: torch.Tensor) -> EditContext | None:
        """The context for what a projection is given. Shape: encoding (b, T, D)."""
        return self._entered if self.reads_changed else self._found(encoding)

    def _found(self, encoding: torch.Tensor) -> EditContext | None:
        """The context for a text, which is compared once as long as the tensor is the same.

        The last two are kept: a denoiser may be given prompts and negative prompts in turn.
        """
        context, version = self.context, _version(encoding)
        if context is None:
            if self.guarded:
                raise PerfusionError(
                    "The denoiser was called without a prompt that was read for concepts, perhaps by another "
                    f"pipeline that shares it. {_OWN_BLOCK}"
                )
            return None
        for seen in self._seen:
            if seen.encoding is encoding and seen.version == version and seen.context is context:
                return seen.found
        found = context.part(encoding)
        others = tuple(seen for seen in self._seen if seen.encoding is not encoding)[-1:]
        self._seen = () if version is None else (*others, _Seen(encoding, version, context, found))
        return found

    def forget(self) -> None:
        """Drop the references to the tensors that were compared last."""
        self._seen, self._entered = (), None


@dataclass(frozen=True)
class _Seen:
    """A text that was compared, and the context that was found for it."""

    encoding: torch.Tensor
    version: int
    context: EditContext
    found: EditContext


@dataclass(frozen=True)
class _Kept:
    """An output, and the very input and weights it belongs to."""

    encoding: torch.Tensor
    version: int
    context: EditContext
    weights: tuple[Any, ...]
    output: torch.Tensor


class EditedProjection(nn.Module):
    """Wraps the projection found there (a linear layer, or what LoRA made of it) as `.base`.

    The edit depends on prompt and gates only, never on the latent or the timestep, so without gradients the
    output is kept and given back when the very same input comes again, as it does at each denoising step,
    unless the weights or the LoRA layers in force have changed. The last two are kept, for prompts and
    negative prompts that come in turn. `called` says whether it was called since the context was set.
    """

    def __init__(self, base: nn.Module, path: str, role: Role, state: EditState) -> None:
        super().__init__()
        self.base = base
        self.path = path
        self.role: Role = role
        self.called = False
        self._state = state
        self._kept: tuple[_Kept, ...] = ()
        self.train(base.training)

    @property
    def weight(self) -> Any:
        return self.base.weight

    @property
    def bias(self) -> Any:
        return self.base.bias

    @property
    def context(self) -> EditContext | None:
        """The context of the current batch; None while the edit is off."""
        return self._state.context

    def context_of(self, encoding: torch.Tensor) -> EditContext | None:
        """The context for what it is given: the current one, or its part. Shape: encoding (b, T, D)."""
        return self._state.context_of(encoding)

    def forget(self) -> None:
        """Drop the cached outputs."""
        self._kept = ()
        self.called = False

    @torch.compiler.disable
    def forward(self, encoding: torch.Tensor) -> torch.Tensor:
        """Shape: (B, T, D) -> (B, T, O)."""
        self.called = True
        context = self._state.context_of(encoding)
        if context is None:
            return self.base(encoding)
        # Tensors made in inference mode have no version, so a change in place could not be seen.
        version = None if torch.is_grad_enabled() else _version(encoding)
        if version is None:
            self._kept = ()
            return self._edited(encoding, context)
        weights = _weights_of(self.base)
        for kept in self._kept:
            same = kept.encoding is encoding and kept.context is context
            if same and (kept.version, kept.weights) == (version, weights):
                return kept.output
        output = self._edited(encoding, context)
        others = tuple(kept for kept in self._kept if kept.encoding is not encoding)[-1:]
        self._kept = (*others, _Kept(encoding, version, context, weights, output))
        return output

    def _edited(self, encoding: torch.Tensor, context: EditContext) -> torch.Tensor:
        gates = context.coefficients.gates
        if encoding.shape[:2] != gates.shape[:2]:
            raise PerfusionError(
                f"The denoiser was given {encoding.shape[0]} prompts of {encoding.shape[1]} tokens, but the "
                f"concepts were set up for {gates.shape[0]} of {gates.shape[1]}. {_OWN_BLOCK}"
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
            if context.owners is not None:  # selected, not multiplied by zeros: 0 times NaN would be NaN
                owners = context.owners.to(device)
                targets = targets.index_select(0, owners).unsqueeze(1)
                projected_i_stars = projected_i_stars.index_select(0, owners).unsqueeze(1)
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


def _version(tensor: torch.Tensor) -> int | None:
    """How often a tensor was changed in place; None for one of inference mode, which does not count."""
    return None if tensor.is_inference() else tensor._version


def _holds(expected: torch.Tensor, encoding: torch.Tensor) -> bool:
    return expected.shape == encoding.shape and torch.equal(expected.to(encoding), encoding)


def _weights_of(module: nn.Module) -> tuple[Any, ...]:
    """Changes whenever a projection's output for one input may: its weights, LoRA layers and their scale."""
    weights = [(id(parameter), _version(parameter)) for parameter in module.parameters()]
    # PEFT's layers; merging writes past the version counter of the weights.
    flags = [
        getattr(module, name, None) for name in ("active_adapters", "merged_adapters", "disable_adapters")
    ]
    return (*weights, repr(flags), *(getattr(module, "scaling", None) or {}).items())
