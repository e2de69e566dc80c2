"""Use concepts in a pipeline of diffusers for the length of a `with` block."""

from __future__ import annotations

import warnings
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from perfusion_core.errors import PerfusionError
from perfusion_core.model.conditioning import Biases, PromptConditioning
from perfusion_core.model.describe import describe
from perfusion_core.model.fingerprint import pipeline_fingerprint
from perfusion_core.model.inject import inject

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from perfusion_core.concept import Concept
    from perfusion_core.edit.choices import Lock, Removal
    from perfusion_core.model.families.description import Family


# What an instance gets of its own while concepts are applied. Pipelines call the second at the end of a call.
_REPLACED = ("encode_prompt", "maybe_free_model_hooks", "load_lora_weights")


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
    """Use concepts in any pipeline of diffusers of one of the families, by `<name>` in its prompts.

    Works for text to image, image to image and inpainting, any scheduler, and with LoRAs loaded before.
    Afterwards the pipeline is exactly as it was, also after an exception.

    `biases` maps a concept's name to its gate bias, or to a list of one per image. What counts for an image
    is, in this order: a list given here, `<name:0.6>` in the prompt, a number given here, the concept's own.
    `removal=None` is the gated one, whatever the concepts were trained with: it leaves prompts without them
    unchanged. A number in the negative prompt sets the gate of the negative row alone.

    While it lasts, the denoiser takes only text that this pipeline has encoded: another pipeline on the same
    denoiser, or a prompt exchanged in a callback, raises PerfusionError instead of being read without the
    concepts or with another prompt's gates. Raises PerfusionError for a pipeline that cannot be edited,
    ConceptError for concepts that do not fit it.

    `inverse_covariance` (D, D) defaults to the base's own statistics. With no concepts it only lets text
    encoder and denoiser differ in precision.

    `anchored` sets the gates at placeholders by what is known there, not by measuring: a concept's own is
    open, another concept's closed to it. Words around a placeholder ("a pencil sketch of a <name>") change
    its encoding, and the paper's rule (`anchored=False`) then shuts the concept out of its own place.
    """
    description = describe(pipe)
    family = description.family
    denoiser = getattr(pipe, family.denoiser)
    read_by_us = (family.denoiser, *(encoder.part for encoder in family.encoders))
    _require_weights(pipe, read_by_us)
    if concepts and inverse_covariance is None:
        from perfusion_core.model.statistics import covariance_for

        inverse_covariance = covariance_for(pipe).inverse
    if inverse_covariance is None:
        inverse_covariance = torch.eye(description.text_width)
    _warn_of_another_base(pipe, family, concepts)
    injection = inject(denoiser, concepts, inverse_covariance, reader=family.reader, base_name=_name_of(pipe))
    found = {name: pipe.__dict__[name] for name in _REPLACED if name in pipe.__dict__}
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
        own_end: Callable[[], None] = pipe.maybe_free_model_hooks

        def end() -> None:
            conditioning.finish()
            own_end()

        def encode_prompt(*args: Any, **options: Any) -> Any:
            _require_weights(pipe, read_by_us)  # they may have been offloaded meanwhile
            return conditioning.encode_prompt(*args, **options)

        if concepts:
            injection.guard()
            if hasattr(pipe, "load_lora_weights"):
                pipe.__dict__["load_lora_weights"] = _refuse_lora
        pipe.__dict__.update(encode_prompt=encode_prompt, maybe_free_model_hooks=end)
        yield conditioning
    finally:
        for name in _REPLACED:
            pipe.__dict__.pop(name, None)
        pipe.__dict__.update(found)
        injection.eject()


def _refuse_lora(*_args: Any, **_options: Any) -> None:
    """In place of `load_lora_weights`: PEFT cannot put its layers into edited projections."""
    raise PerfusionError("LoRAs have to be loaded before `with applied(...)`. Leave it, load them, enter.")


def _require_weights(pipe: Any, parts: Sequence[str]) -> None:
    """Raises PerfusionError where weights are in place only while a layer is computed: concepts read them.

    Between calls they are placeholders on the "meta" device.
    """
    for part in parts:
        module = getattr(pipe, part, None)
        if isinstance(module, nn.Module) and any(p.is_meta for p in module.parameters()):
            raise PerfusionError(
                f"The weights of this pipeline's {part} are offloaded layer by layer "
                "(enable_sequential_cpu_offload), and concepts cannot be applied to them. Load the pipeline "
                "again and use enable_model_cpu_offload instead."
            )


def _name_of(pipe: Any) -> str:
    name = getattr(pipe.config, "_name_or_path", None)
    return str(name).rstrip("/").rsplit("/", 1)[-1] if name else "this base model"


def _warn_of_another_base(pipe: Any, family: Family, concepts: Sequence[Concept]) -> None:
    parts = (family.denoiser, *(encoder.part for encoder in family.encoders))
    # Rounded to bfloat16, weights have other fingerprints.
    if not concepts or any(getattr(pipe, part).dtype == torch.bfloat16 for part in parts):
        return
    here = pipeline_fingerprint(pipe, family)
    for concept in concepts:
        if concept.metadata.base_fingerprint != here:
            warnings.warn(
                f"{concept.name} was taught on {concept.metadata.base}, whose weights are not those of "
                f"{_name_of(pipe)}. It may look different here.",
                stacklevel=4,
            )
