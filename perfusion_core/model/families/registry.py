"""Which family a pipeline is of: from the pipeline itself, or from the class its model_index.json names.

Importing this needs neither torch nor diffusers.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib.util import find_spec
from typing import Any

from perfusion_core.errors import BaseModelError
from perfusion_core.model.families.cosmos import COSMOS
from perfusion_core.model.families.description import Family
from perfusion_core.model.families.kolors import KOLORS
from perfusion_core.model.families.pixart import PIXART
from perfusion_core.model.families.refused import refusal_of
from perfusion_core.model.families.sana import SANA, SANA_SPRINT
from perfusion_core.model.families.sdxl import SDXL
from perfusion_core.model.families.stable_diffusion import STABLE_DIFFUSION
from perfusion_core.printable import printable

FAMILIES: tuple[Family, ...] = (STABLE_DIFFUSION, SDXL, KOLORS, PIXART, SANA, SANA_SPRINT, COSMOS)
SUPPORTED = "Use " + ", ".join(family.title for family in FAMILIES) + "."
_ENCODER_PARTS = ("text_encoder", "text_encoder_2", "text_encoder_3")


def family_called(name: str) -> Family:
    """The family with this name. Raises BaseModelError where there is none."""
    for family in FAMILIES:
        if family.name == name:
            return family
    raise BaseModelError(f"There is no kind of base model called {name}. {SUPPORTED}")


def family_of_class(class_name: object, name: str) -> Family:
    """The family of pipelines whose model_index.json names `class_name`; `name` is the model's, for messages.

    Raises BaseModelError, saying why and what to use, for any other.
    """
    if not isinstance(class_name, str):  # an index may say anything
        class_name = ""
    for family in FAMILIES:
        if class_name in family.pipelines:
            return family
    refused = refusal_of(class_name)
    if refused is not None:
        raise BaseModelError(refused.words(name))
    what = f"a {printable(class_name)[:60]}" if class_name else "of an unknown kind"
    raise BaseModelError(f"{name} is {what}, which is not supported. {SUPPORTED}")


def family_of_index(index: Mapping[str, Any], name: str) -> Family:
    """The family of a pipeline from the content of its model_index.json. Raises BaseModelError."""
    family = family_of_class(index.get("_class_name"), name)
    absent = [part for part in _required(family) if index.get(part) in (None, [None, None])]
    if absent and any(part in index for part in _ENCODER_PARTS):
        raise BaseModelError(_lacking(name, family, absent[0]))
    return family


def require_packages(family: Family, name: str) -> None:
    """Raises BaseModelError where diffusers would look in vain for what it needs to load the model `name`."""
    absent = [package for package in family.packages if find_spec(package) is None]
    if absent:
        raise BaseModelError(
            f"{name}: {family.title} is loaded with the Python package {absent[0]}, which is not installed. "
            f"Install it (pip install {' '.join(absent)}), or use SDXL, PixArt-Σ or Sana."
        )


def family_of(pipeline: Any, name: str = "") -> Family:
    """The family of a pipeline of any class, by its denoiser and text encoders.

    Raises BaseModelError, saying why and what to use, for one that cannot be edited.
    """
    kind = type(pipeline).__name__
    name = name or kind
    present = {part for part in _ENCODER_PARTS if getattr(pipeline, part, None) is not None}
    for family in sorted(FAMILIES, key=lambda family: not family.encoders[0].classes):
        denoiser = getattr(pipeline, family.denoiser, None)
        further = {encoder.part for encoder in family.encoders} - {"text_encoder"}
        if denoiser is None or present - {"text_encoder"} != further or not _is_of(family, denoiser):
            continue
        classes = family.encoders[0].classes
        if classes and type(getattr(pipeline, "text_encoder", None)).__name__ not in classes:
            continue
        if further and "text_encoder" not in present:
            raise BaseModelError(_lacking(name, family, "text_encoder"))
        problem = family.problem(pipeline)
        if problem:
            raise BaseModelError(f"{name}: {problem}, which is not supported. {SUPPORTED}")
        return family
    refused = refusal_of(kind)
    if refused is not None:
        raise BaseModelError(refused.words(name))
    raise BaseModelError(f"{name} is a {kind}, which is not supported. {SUPPORTED}")


def _is_of(family: Family, denoiser: Any) -> bool:
    inner = getattr(denoiser, "_orig_mod", denoiser)  # under torch.compile
    if family.denoiser_classes and type(inner).__name__ not in family.denoiser_classes:
        return False
    return family.guidance_in_denoiser == bool(getattr(inner.config, "guidance_embeds", False))


def _required(family: Family) -> tuple[str, ...]:
    return tuple(encoder.part for encoder in family.encoders)


def _lacking(name: str, family: Family, part: str) -> str:
    return (
        f"{name} is built like {family.title} but has no {part}, so it refines images of another model. "
        "Use the model that it refines."
    )
