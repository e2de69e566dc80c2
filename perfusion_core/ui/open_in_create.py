"""Taking something from another room into Create: a concept, a point of a front, the recipe of a picture."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import gradio as gr

from perfusion_core.sampling.operating_points import bias_to_slider
from perfusion_core.studio.creating.mentions import mentioned, without_numbers
from perfusion_core.ui.create.form_values import form_values

if TYPE_CHECKING:
    from perfusion_core.sampling.png import ForeignRecipe, ImageRecipe
    from perfusion_core.studio.app import Studio
    from perfusion_core.ui.create.room import CreateRoom


def targets(create: CreateRoom, rooms: gr.Tabs) -> list[Any]:
    """The components that the functions below answer for, in their order."""
    return [rooms, create.prompt, *create.form, create.positions, create.applied]


def untouched(create: CreateRoom) -> list[Any]:
    """An answer that changes nothing."""
    return [gr.skip() for _ in targets(create, gr.Tabs(render=False))]


def concept(create: CreateRoom, name: str) -> list[Any]:
    """A prompt with one concept; the rest of the form stays."""
    form = [gr.skip() for _ in create.form]
    return [gr.Tabs(selected="create"), f"a photo of <{name}>", *form, gr.skip(), time.time()]


def point(
    create: CreateRoom,
    prompt: str,
    seed: int,
    lock: str,
    biases: Mapping[str, float],
    positions: Mapping[str, float],
) -> list[Any]:
    """The prompt, seed and gate biases of one picture of a front or a grid."""
    form: list[Any] = [gr.skip() for _ in create.form]
    form[1], form[-1] = seed, lock
    now = {**positions, **{name: round(100 * bias_to_slider(bias, lock)) for name, bias in biases.items()}}
    return [gr.Tabs(selected="create"), without_numbers(prompt), *form, now, time.time()]


def recipe(found: ImageRecipe | ForeignRecipe, studio: Studio) -> tuple[list[Any], list[str]]:
    """A picture's recipe as the form, and what of it cannot be had here in words."""
    prompt, *form = form_values(found)
    lock = form[-1]
    used = {one.name: one.bias for one in getattr(found, "concepts", [])}
    positions = {name: round(100 * bias_to_slider(bias, lock)) for name, bias in used.items()}
    known = mentioned(prompt, [entry.name for entry in studio.library.entries()])
    missing = [
        f"<{name}> is not in the library: teach or import it first." for name in used if name not in known
    ]
    return [gr.Tabs(selected="create"), without_numbers(prompt), *form, positions, time.time()], missing
