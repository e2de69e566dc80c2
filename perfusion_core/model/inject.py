"""Put concepts into a denoiser and take them out again, leaving it exactly as it was."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from perfusion_core.edit.compose import coefficients
from perfusion_core.errors import ConceptError, PerfusionError
from perfusion_core.model.describe import ATTRIBUTE, Role, cross_attentions, linear_of
from perfusion_core.model.projection import EditableConcept, EditContext, EditedProjection, EditState
from perfusion_core.model.reading import reader_modules

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from perfusion_core.edit.choices import Removal

__all__ = ["EditContext", "EditableConcept", "EditedProjection", "Injection", "inject"]


class Injection:
    """Concepts placed in a denoiser. Nothing changes in its outputs until a context is set.

    `eject()` undoes everything: the denoiser's `repr`, weights and outputs are what they were before.
    """

    def __init__(
        self,
        denoiser: nn.Module,
        concepts: Sequence[EditableConcept],
        inverse_covariance: torch.Tensor,
        reader: Sequence[str] = (),
    ) -> None:
        changed = any(reader_modules(denoiser, reader))
        self._state = EditState(tuple(concepts), reads_changed=changed)
        self._hook = None
        if changed and concepts:
            self._hook = denoiser.register_forward_pre_hook(_entering(self._state), with_kwargs=True)
        self.inverse_covariance = inverse_covariance
        self._places: list[tuple[nn.Module, str, EditedProjection]] = []
        self.projections: list[EditedProjection] = []
        roles: tuple[Role, ...] = ("key", "value")
        for path, attention in cross_attentions(denoiser).items() if concepts else ():
            for role in roles:
                base = getattr(attention, ATTRIBUTE[role])
                edited = EditedProjection(base, path, role, self._state)
                setattr(attention, ATTRIBUTE[role], edited)
                self._places.append((attention, ATTRIBUTE[role], edited))
                self.projections.append(edited)

    @property
    def concepts(self) -> Sequence[EditableConcept]:
        return self._state.concepts

    @property
    def context(self) -> EditContext | None:
        return self._state.context

    def set_context(self, context: EditContext | None) -> None:
        """Say what the edit does to the next batches; None leaves them alone."""
        self._state.context = context
        self._state.forget()
        for projection in self.projections:
            projection.forget()

    def guard(self) -> None:
        """From now on a call of the denoiser without a context is an error, not a call without concepts."""
        self._state.guarded = True

    def require_read(self) -> None:
        """Raises PerfusionError where attentions read the text past their edited projections (fused ones)."""
        require_unfused(attention for attention, _, _ in self._places)

    def uncalled(self) -> list[EditedProjection]:
        """The projections that were not called since the context was set."""
        return [projection for projection in self.projections if not projection.called]

    def context_for(
        self,
        encoding: torch.Tensor,
        *,
        bias: torch.Tensor,
        temperature: torch.Tensor,
        removal: Removal,
        key_encoding: torch.Tensor | None = None,
        known: torch.Tensor | None = None,
        present: torch.Tensor | None = None,
        expected: torch.Tensor | None = None,
        positive: int = 0,
        negative: torch.Tensor | None = None,
    ) -> EditContext:
        """The context of a batch. Gradients flow from it to `encoding`.

        Shape: encoding (B, T, D) float32, bias (n,) or (B, n), temperature (n,), key_encoding (B, T, D),
        known (B, T, n): see `edit.compose.coefficients`; present (B, T): 1 where a token is no padding, None
        for all; expected (B, T, D), positive and negative: see `EditContext`.
        """
        device = encoding.device
        found = coefficients(
            encoding,
            torch.stack([concept.target_input.to(device, torch.float32) for concept in self.concepts]),
            self.inverse_covariance.to(device, torch.float32),
            bias.to(device, torch.float32),
            temperature.to(device, torch.float32),
            removal,
            [concept.name for concept in self.concepts],
            None if known is None else known.to(device),
        )
        return EditContext(found.within(present), key_encoding, expected, positive, negative)

    def eject(self) -> None:
        """Put back what was found; harmless when done twice."""
        self.set_context(None)
        for module, attribute, edited in self._places:
            setattr(
                module, attribute, edited.base
            )  # the very module found, unless LoRA exchanged it meanwhile
        self._places.clear()
        self.projections.clear()
        if self._hook is not None:
            self._hook.remove()
            self._hook = None


def inject(
    denoiser: nn.Module,
    concepts: Sequence[EditableConcept],
    inverse_covariance: torch.Tensor,
    *,
    reader: Sequence[str] = (),
    base_name: str = "this base model",
) -> Injection:
    """Place concepts in every cross-attention of a denoiser. Shape: inverse_covariance (D, D).

    `reader` are the paths of the denoiser's modules that change the text before its projections read it.
    Raises ConceptError when a concept does not fit or two have one name, PerfusionError when the denoiser
    already has concepts in it or its projections are fused. When it raises, nothing has changed.
    """
    attentions = cross_attentions(denoiser)
    if any(isinstance(attention.to_k, EditedProjection) for attention in attentions.values()):
        raise PerfusionError(
            "This pipeline already has concepts applied. Leave that `with applied(...)` first, "
            "or name all concepts in one."
        )
    require_unfused(attentions.values())
    names = [concept.name.casefold() for concept in concepts]
    for name in names:
        if names.count(name) > 1:
            raise ConceptError(f"Two concepts are called {name}. Rename one of them.")
    widths = {path: linear_of(attention.to_v).out_features for path, attention in attentions.items()}
    for concept in concepts:
        _require_fit(concept, widths, inverse_covariance.shape[0], base_name)
    return Injection(denoiser, concepts, inverse_covariance, reader)


def _entering(state: EditState) -> Any:
    """A hook for the denoiser that looks at the text it is called with."""

    @torch.compiler.disable
    def look(_denoiser: nn.Module, inputs: tuple[Any, ...], named: dict[str, Any]) -> None:
        state.enter(named["encoder_hidden_states"] if "encoder_hidden_states" in named else inputs[1])

    return look


def require_unfused(attentions: Iterable[Any]) -> None:
    """Raises PerfusionError where keys and values come from one fused matrix: it would not be edited."""
    # Unfusing leaves the attention's own flag set; what reads the text is its processor.
    if any(type(attention.processor).__name__.startswith("Fused") for attention in attentions):
        raise PerfusionError(
            "This pipeline's attention projections are fused, so concepts would be ignored. Call "
            "pipe.unfuse_qkv_projections() before applying concepts."
        )


def _require_fit(
    concept: EditableConcept, widths: Mapping[str, int], text_width: int, base_name: str
) -> None:
    metadata = getattr(concept, "metadata", None)
    made_for = getattr(metadata, "base", None) or "another base model"
    advice = f"{concept.name} was made for {made_for} and does not fit {base_name}"
    end = f"Choose the base model it was made for, or teach it again on {base_name}."
    if concept.target_input.shape[-1] != text_width:
        width = concept.target_input.shape[-1]
        raise ConceptError(
            f"{advice}: its text encodings are {width} wide, here they are {text_width}. {end}"
        )
    for kept in (concept.values, concept.keys):
        if kept is None:
            continue
        missing, extra = sorted(set(widths) - set(kept)), sorted(set(kept) - set(widths))
        if missing or extra:
            said = [f"it lacks {missing[0]} ({len(missing)} layers)"] if missing else []
            said += [f"it has {extra[0]} ({len(extra)} layers), which is not here"] if extra else []
            raise ConceptError(f"{advice}: {' and '.join(said)}. {end}")
        for path, width in widths.items():
            if kept[path].shape[-1] != width:
                raise ConceptError(f"{advice}: {path} is {kept[path].shape[-1]} wide, here {width}. {end}")
