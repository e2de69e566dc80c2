"""The valid range of each training setting. Held in one place, without torch, for all that take settings in:
the form, the command line, the run's own folder, and concept files from anyone.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, cast, get_args

from perfusion_core.edit.choices import Removal
from perfusion_core.printable import printable

Keys = Literal["locked", "trained"]
Neighbours = Literal["concept", "superclass"]
Masks = Literal["auto", "none", "given"]
WordNorm = Literal["free", "vocabulary"]
Precision = Literal["auto", "float32", "bfloat16", "float16"]
Setting = str | int | float | bool

PLACE = "{}"
JOINT = " | "  # between the lines of `templates` in one setting's text
MAX_PROMPTS_LENGTH = 500  # what a concept file takes of one setting

_RANGES: dict[str, tuple[float, float]] = {
    "steps": (1, 10_000),
    "batch_size": (1, 256),
    "accumulation": (1, 256),
    "value_rate": (0.0, 1.0),
    "embedding_rate": (0.0, 1.0),
    "offset_rate": (0.0, 10.0),
    "prior": (0.0, 1000.0),
    "warmup": (0, 10_000),
    "cooldown": (0.0, 1.0),
    "clarity": (0.0, 1000.0),
    "decay": (0.0, 0.9999),
    "bias": (-10.0, 10.0),
    "temperature": (0.001, 10.0),
    "inference_temperature": (0.001, 10.0),
    "background": (0.0, 1.0),
    "noise_from": (0.0, 1.0),
    "noise_to": (0.0, 1.0),
    "resolution": (64, 2048),
    "seed": (0, 2**63 - 1),
    "checkpoint_every": (1, 10_000),
    "validation_steps": (1, 1000),
    "validation_guidance": (0.0, 100.0),
}
_WHOLE = frozenset(
    {
        "steps",
        "batch_size",
        "accumulation",
        "warmup",
        "resolution",
        "seed",
        "checkpoint_every",
        "validation_steps",
    }
)
_CHOICES: dict[str, tuple[str, ...]] = {
    "removal": get_args(Removal),
    "keys": get_args(Keys),
    "neighbours": get_args(Neighbours),
    "mask": get_args(Masks),
    "word_norm": get_args(WordNorm),
    "precision": get_args(Precision),
}
_SWITCHES = frozenset({"flip", "gradient_checkpointing"})
_PROMPTS = frozenset({"templates", "validation_prompts"})


def setting_problem(name: str, value: Any) -> str:
    """What is wrong with one setting, in a sentence that names it; empty when it can be.

    Prompts may be lines, or one text with line breaks or JOINT between them. A setting that is not known here
    passes: a newer version may have added it.
    """
    if name in _RANGES:
        return _number_problem(name, value)
    if name in _CHOICES:
        known = isinstance(value, str) and value in _CHOICES[name]
        return "" if known else f"{name} is {_shown(value)}; choose one of {', '.join(_CHOICES[name])}."
    if name in _SWITCHES:
        return "" if isinstance(value, bool) else f"{name} is {_shown(value)}; choose true or false."
    return _prompts_problem(name, value) if name in _PROMPTS else ""


def settings_problem(settings: Mapping[str, Any]) -> str:
    """The first of the problems of several settings; empty when there are none."""
    single = next(filter(None, (setting_problem(name, value) for name, value in settings.items())), "")
    return single or _stretch_problem(settings.get("noise_from", 0.0), settings.get("noise_to", 1.0))


def _stretch_problem(low: float, high: float) -> str:
    return "" if low < high else f"noise_from is {low} and noise_to {high}; choose a larger noise_to."


def _number_problem(name: str, value: Any) -> str:
    whole = name in _WHOLE
    if isinstance(value, bool) or not isinstance(value, int if whole else (int, float)):
        return f"{name} must be a {'whole ' if whole else ''}number, not {_shown(value)}."
    low, high = _RANGES[name]
    return "" if low <= value <= high else f"{name} is {_shown(value)}; choose a value from {low} to {high}."


def _prompts_problem(name: str, value: Any) -> str:
    if isinstance(value, str):
        value = [line for line in value.replace("\n", JOINT).split(JOINT) if line]
    if not isinstance(value, (list, tuple)):
        return f"{name} must be lines of text, not {_shown(value)}."
    given = cast("list[object]", list(value))  # pyright: ignore[reportUnknownArgumentType]
    lines = [line for line in given if isinstance(line, str)]
    if len(lines) < len(given):
        return f"{name} must be lines of text, not {_shown(given)}."
    for line in lines:
        if line.count(PLACE) != 1 or any(sign in line for sign in "\n<>|"):
            return (
                f"{name}: write {PLACE} once for the concept, on one line without < > |, in {_shown(line)}."
            )
    if len(JOINT.join(lines)) > MAX_PROMPTS_LENGTH:
        return f"{name} are longer than {MAX_PROMPTS_LENGTH} letters together. Use fewer."
    if not lines and name == "templates":
        return "templates is empty. Give at least one, for example “a photo of a {}”."
    return ""


def _shown(value: Any) -> str:
    try:
        words = printable(repr(value))
    except ValueError:  # Python writes no integer of more than some thousand digits
        return "a number of thousands of digits"
    return words if len(words) <= 80 else f"{words[:79]}…"
