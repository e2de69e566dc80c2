"""The option `--lora FILE[:WEIGHT]`, of all verbs that draw."""

from __future__ import annotations

import argparse
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from perfusion_core.container import shown
from perfusion_core.errors import LoraError
from perfusion_core.model.lora_files import ENDING, WEIGHTS, ChosenLora, check_weight, require_lora

if TYPE_CHECKING:
    from perfusion_core.studio.settings import Settings


def add_lora_option(verb: argparse.ArgumentParser, more: str = "") -> None:
    low, high = WEIGHTS
    verb.add_argument(
        "--lora",
        action="append",
        default=[],
        metavar="FILE[:WEIGHT]",
        help="put a LoRA (.safetensors) on the base, or one in the folder “loras” beside the models by its "
        f"name; repeat for more. WEIGHT is {low:g} to {high:g} (default: 1). Needs pip install peft{more}",
    )


def chosen_loras(settings: Settings, options: argparse.Namespace) -> list[ChosenLora]:
    """What `--lora` names, checked as far as that goes without a base. Raises `LoraError`."""
    chosen = [_chosen(settings, text) for text in options.lora]
    for one in chosen:
        require_lora(one.file)
    return chosen


def known_files(settings: Settings, options: argparse.Namespace) -> list[Path]:
    """The files that `--lora` names where an image says the weights. Raises `LoraError` for a weight."""
    weighed = [text for text in options.lora if _parted(text)[1] is not None]
    if weighed:
        raise LoraError(f"With --from the image says the weight; leave it out of {shown(weighed[0])}.")
    return [one.file for one in chosen_loras(settings, options)]


def _chosen(settings: Settings, text: str) -> ChosenLora:
    named, weight = _parted(text)
    if named.lower().rpartition(":")[0].endswith(ENDING):  # what follows is no number
        raise LoraError(
            f"--lora takes FILE or FILE:WEIGHT, for example lcm.safetensors:0.8, not {shown(text)}."
        )
    file = _found(settings, named)
    return ChosenLora(file, 1.0 if weight is None else check_weight(weight, file.name))


def _parted(text: str) -> tuple[str, float | None]:
    """The file and the weight, None where there is none: a path may have a colon of its own."""
    named, colon, weight = text.rpartition(":")
    with suppress(ValueError):
        if colon and named:
            return named, float(weight)
    return text, None


def _found(settings: Settings, named: str) -> Path:
    with suppress(OSError, ValueError, RuntimeError):  # too long, a zero byte, no such user's home
        near = [Path(named).expanduser(), *(settings.loras_folder / f"{named}{end}" for end in ("", ENDING))]
        for path in near:
            if path.is_file():
                return path
    return Path(named)
