"""Taking something from another room into Create: a concept, a point of a front, the recipe of an image."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import gradio as gr

from perfusion_core.sampling.operating_points import bias_to_slider
from perfusion_core.studio.creating.mentions import without_numbers
from perfusion_core.ui.event_options import Updates

if TYPE_CHECKING:
    from perfusion_core.ui.create.restored_form import RestoredForm
    from perfusion_core.ui.create.room import CreateRoom


def targets(create: CreateRoom, rooms: gr.Tabs) -> list[Any]:
    """The outputs of an event that answers with one of the functions below."""
    form = create.form.components().values()
    return [rooms, create.prompt, *form, create.positions, create.applied]


def concept(create: CreateRoom, rooms: gr.Tabs, name: str) -> Updates:
    """A prompt with one concept; the rest of the form stays."""
    return {**_opened(create, rooms), create.prompt: f"a photo of <{name}>"}


def point(
    create: CreateRoom,
    rooms: gr.Tabs,
    prompt: str,
    seed: int,
    lock: str,
    biases: Mapping[str, float],
    positions: Mapping[str, float],
) -> Updates:
    """The prompt, seed and gate biases of one image of a front or a grid; `positions`: the sliders now."""
    moved = {name: round(100 * bias_to_slider(bias, lock)) for name, bias in biases.items()}
    return {
        **_opened(create, rooms),
        create.prompt: without_numbers(prompt),
        create.form.seed: str(seed),
        create.form.lock: lock,
        create.positions: {**positions, **moved},
    }


def restored(create: CreateRoom, rooms: gr.Tabs, form: RestoredForm) -> Updates:
    """The whole form as an image's recipe has it."""
    fields = {component: form.values[name] for name, component in create.form.components().items()}
    return {
        **_opened(create, rooms),
        **fields,
        create.prompt: form.prompt,
        create.positions: form.positions,
    }


def _opened(create: CreateRoom, rooms: gr.Tabs) -> Updates:
    """Select Create, with its sliders rebuilt."""
    return {rooms: gr.Tabs(selected="create"), create.applied: time.time()}
