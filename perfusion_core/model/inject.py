"""Put concepts into a denoiser and take them out again, leaving it exactly as it was."""

from __future__ import annotations

import warnings
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from perfusion_core.edit.compose import coefficients
from perfusion_core.errors import ConceptError, PerfusionError
from perfusion_core.model.conditioning import Biases, Lock, PromptConditioning
from perfusion_core.model.describe import ATTRIBUTE, Role, cross_attentions, describe, linear_of
from perfusion_core.model.fingerprint import base_fingerprint
from perfusion_core.model.projection import EditableConcept, EditContext, EditedProjection, EditState

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from perfusion_core.concept import Concept
    from perfusion_core.edit.gate import Removal

__all__ = ["EditContext", "EditableConcept", "EditedProjection", "Injection", "applied", "inject"]


class Injection:
    """Concepts placed in a denoiser. Nothing changes in its outputs until a context is set.

    `eject()` undoes everything: the denoiser's `repr`, weights and outputs are what they were before.
    """

    def __init__(
        self, denoiser: nn.Module, concepts: Sequence[EditableConcept], inverse_covariance: torch.Tensor
    ) -> None:
        self._state = EditState(tuple(concepts))
        self._inverse_covariance = inverse_covariance
        self._places: list[tuple[nn.Module, str, nn.Module]] = []
        self.projections: list[EditedProjection] = []
        roles: tuple[Role, ...] = ("key", "value")
        for path, attention in cross_attentions(denoiser).items() if concepts else ():
            for role in roles:
                base = getattr(attention, ATTRIBUTE[role])
                edited = EditedProjection(base, path, role, self._state)
                setattr(attention, ATTRIBUTE[role], edited)
                self._places.append((attention, ATTRIBUTE[role], base))
                self.projections.append(edited)

    @property
    def concepts(self) -> Sequence[EditableConcept]:
        return self._state.concepts

    @property
    def context(self) -> EditContext | None:
        return self._state.context

    def set_concepts(self, concepts: Sequence[EditableConcept]) -> None:
        """Exchange the concepts, as teaching does at each step; the context has to be set anew."""
        assert len(concepts) == len(self._state.concepts)
        self._state.concepts = tuple(concepts)
        self.set_context(None)

    def set_context(self, context: EditContext | None) -> None:
        """Say what the edit does to the next batches; None leaves them alone."""
        self._state.context = context
        for projection in self.projections:
            projection.forget()

    def context_for(
        self,
        encoding: torch.Tensor,
        *,
        bias: torch.Tensor,
        temperature: torch.Tensor,
        removal: Removal,
        key_encoding: torch.Tensor | None = None,
        known: torch.Tensor | None = None,
    ) -> EditContext:
        """The context of a batch. Gradients flow from it to `encoding`.

        Shape: encoding (B, T, D) float32, bias (n,) or (B, n), temperature (n,), key_encoding (B, T, D),
        known (B, T, n): see `edit.compose.coefficients`.
        """
        device = encoding.device
        found = coefficients(
            encoding,
            torch.stack([concept.target_input.to(device, torch.float32) for concept in self.concepts]),
            self._inverse_covariance.to(device, torch.float32),
            bias.to(device, torch.float32),
            temperature.to(device, torch.float32),
            removal,
            [concept.name for concept in self.concepts],
            None if known is None else known.to(device),
        )
        return EditContext(found, key_encoding)

    def eject(self) -> None:
        """Put back what was found; harmless when done twice."""
        self.set_context(None)
        for module, attribute, base in self._places:
            setattr(module, attribute, base)
        self._places.clear()
        self.projections.clear()


def inject(
    denoiser: nn.Module,
    concepts: Sequence[EditableConcept],
    inverse_covariance: torch.Tensor,
    *,
    base_name: str = "this base model",
) -> Injection:
    """Place concepts in every cross-attention of a denoiser. Shape: inverse_covariance (D, D).

    Raises ConceptError when a concept does not fit or two have one name, PerfusionError when the denoiser
    already has concepts in it. When it raises, nothing has changed.
    """
    attentions = cross_attentions(denoiser)
    if any(isinstance(attention.to_k, EditedProjection) for attention in attentions.values()):
        raise PerfusionError(
            "This pipeline already has concepts applied. Leave that `with applied(...)` first, "
            "or name all concepts in one."
        )
    names = [concept.name.casefold() for concept in concepts]
    for name in names:
        if names.count(name) > 1:
            raise ConceptError(f"Two concepts are called {name}. Rename one of them.")
    widths = {path: linear_of(attention.to_v).out_features for path, attention in attentions.items()}
    for concept in concepts:
        _require_fit(concept, widths, inverse_covariance.shape[0], base_name)
    return Injection(denoiser, concepts, inverse_covariance)


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


@contextmanager
def applied(
    pipe: Any,
    concepts: Sequence[Concept],
    *,
    lock: Lock = "local",
    removal: Removal | None = None,
    biases: Biases | None = None,
    temperature: float | Mapping[str, float] | None = None,
    inverse_covariance: torch.Tensor | None = None,
    anchored: bool = True,
) -> Iterator[PromptConditioning]:
    """Use concepts in any Stable Diffusion pipeline of diffusers, by `<name>` in its prompts.

    Works for text to image, image to image and inpainting, any scheduler, and with LoRAs loaded before.
    Afterwards the pipeline is exactly as it was, also after an exception.

    `biases` maps a concept's name to its gate bias, or to a list of one per image. What counts for an image
    is, in this order: a list given here, `<name:0.6>` in the prompt, a number given here, the concept's own.
    `removal=None` is the gated one, whatever the concepts were taught with: it leaves prompts without them
    alone. `inverse_covariance` (D, D) defaults to the base's own statistics. With no concepts it only lets
    text encoder and denoiser differ in precision.

    `anchored` sets the gates at placeholders by what is known there, not by measuring: a concept's own is
    open, another concept's closed to it. Words around a placeholder ("a pencil sketch of a <name>") change
    its encoding, and the paper's rule (`anchored=False`) then shuts the concept out of its own place.
    """
    description = describe(pipe)
    if concepts and inverse_covariance is None:
        from perfusion_core.model.statistics import covariance_for

        inverse_covariance = covariance_for(pipe).inverse
    if inverse_covariance is None:
        inverse_covariance = torch.eye(description.text_width)
    _warn_of_another_base(pipe, concepts)
    injection = inject(pipe.unet, concepts, inverse_covariance, base_name=_name_of(pipe))
    found = pipe.__dict__.get("encode_prompt")
    try:
        conditioning = PromptConditioning(
            pipe,
            injection,
            concepts,
            lock=lock,
            removal=removal,
            biases=biases or {},
            temperature=temperature,
            anchored=anchored,
        )
        pipe.__dict__["encode_prompt"] = conditioning.encode_prompt
        yield conditioning
    finally:
        if found is None:
            pipe.__dict__.pop("encode_prompt", None)
        else:
            pipe.__dict__["encode_prompt"] = found
        injection.eject()


def _name_of(pipe: Any) -> str:
    name = getattr(pipe.config, "_name_or_path", None)
    return str(name).rstrip("/").rsplit("/", 1)[-1] if name else "this base model"


def _warn_of_another_base(pipe: Any, concepts: Sequence[Concept]) -> None:
    if (
        not concepts or pipe.unet.dtype == torch.bfloat16
    ):  # rounded to bfloat16, weights have other fingerprints
        return
    here = base_fingerprint(pipe.text_encoder, pipe.unet)
    for concept in concepts:
        if concept.metadata.base_fingerprint != here:
            warnings.warn(
                f"{concept.name} was taught on {concept.metadata.base}, whose weights are not those of "
                f"{_name_of(pipe)}. It may look different here.",
                stacklevel=4,
            )
