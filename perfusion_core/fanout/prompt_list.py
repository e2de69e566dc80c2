"""A list of prompts: which images to make, a line each, as CSV or JSON lines.

    prompt,seed,biases
    a photo of <biscuit> on the beach,7,
    a photo of <biscuit> next to <mug>,8,biscuit=0.6;mug=0.5

Further columns are optional: negative, count, steps, guidance, width, height, scheduler, lock, removal,
temperature; an empty cell leaves the base's own value. In JSON lines `biases` may be an object.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from perfusion_core.container import shown
from perfusion_core.errors import PerfusionError
from perfusion_core.fanout.list_file import Problem, read_lines, setting_of
from perfusion_core.model.schedulers import SCHEDULER_NAMES
from perfusion_core.sampling.request import GenerationRequest
from perfusion_core.studio.creating.output_folder import slug

_WHOLE = ("seed", "count", "steps", "width", "height")
_NUMBERS = ("guidance", "temperature")
_CHOICES = {"scheduler": SCHEDULER_NAMES, "lock": ("local", "global"), "removal": ("paper", "gated")}
_COLUMNS = ("prompt", "negative", "biases", *_WHOLE, *_NUMBERS, *_CHOICES)


@dataclass(frozen=True)
class PromptLine:
    """One line's images."""

    number: int
    request: GenerationRequest

    @property
    def label(self) -> str:
        """What its files are called."""
        return f"{self.number:05d}-seed{self.request.seed}-{slug(self.request.prompt)}"


@dataclass(frozen=True)
class PromptList:
    """All sound lines and all problems."""

    path: Path
    lines: list[PromptLine]
    problems: list[Problem]


def read_prompts(path: Path) -> PromptList:
    """Read and check a list. Raises `PerfusionError` when it cannot be read at all."""
    each = "each prompt, below prompt,seed,biases"
    lines, problems = read_lines(
        path, "list of prompts", each, lambda number, fields: PromptLine(number, _request(fields))
    )
    return PromptList(path, lines, problems)


def _request(fields: Mapping[str, Any]) -> GenerationRequest:
    unknown = next((name for name in fields if name not in _COLUMNS), None)
    if unknown is not None:
        raise PerfusionError(f"There is no column {shown(unknown)}. Columns are: {', '.join(_COLUMNS)}.")
    given: dict[str, Any] = {name: value for name, value in fields.items() if value not in (None, "")}
    for name in ("prompt", "negative"):
        if not isinstance(given.get(name, ""), str):
            raise PerfusionError(f"{name} is {shown(str(given[name]))} and not text. Write it in quotes.")
    if "prompt" not in given:
        raise PerfusionError("prompt is missing. Say what the image shows.")
    for name in (*_WHOLE, *_NUMBERS):
        if name in given:
            given[name] = _number(name, setting_of(given[name]), whole=name in _WHOLE)
    for name, known in _CHOICES.items():
        if name in given and given[name] not in known:
            raise PerfusionError(f"{name} is {shown(str(given[name]))}; choose one of {', '.join(known)}.")
    if "negative" in given:
        given["negative_prompt"] = given.pop("negative")
    given["biases"] = _biases(given.get("biases", {}))
    return GenerationRequest(**given).checked()


def _number(name: str, value: Any, *, whole: bool) -> Any:
    if isinstance(value, bool) or not isinstance(value, int if whole else (int, float)):
        kind = "whole number" if whole else "number"
        raise PerfusionError(f"{name} is {shown(str(value))}; write a {kind}, or leave it out.")
    return value


def _biases(value: Any) -> dict[str, float]:
    """`biscuit=0.6;mug=0.5`, or an object of them."""
    if isinstance(value, str):
        pairs = [part.partition("=")[::2] for part in value.split(";") if part.strip()]
    elif isinstance(value, dict):
        pairs = list(cast("dict[str, Any]", value).items())
    else:
        pairs = [("", "")]
    biases: dict[str, float] = {}
    for name, bias in pairs:
        number = setting_of(bias)
        if not name.strip() or isinstance(number, bool) or not isinstance(number, (int, float)):
            raise PerfusionError(f"biases is {shown(str(value))}; write it as biscuit=0.6;mug=0.5.")
        biases[name.strip("<> ")] = float(number)
    return biases
