"""The fields of an image besides its prompt: the seed in view, the rest folded away."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

import gradio as gr

from perfusion_core.sampling.request import LONGEST_PROMPT, SIDES
from perfusion_core.ui.create.form_values import MOST_GUIDANCE, MOST_STEPS, SCHEDULERS, SIDE_STEP, Asked
from perfusion_core.ui.field_values import LONGEST_SEED


@dataclass(frozen=True)
class GenerationForm:
    """The components by the names of the fields of `Asked`."""

    negative_prompt: gr.Textbox
    seed: gr.Textbox
    count: gr.Slider
    steps: gr.Slider
    guidance: gr.Slider
    width: gr.Number
    height: gr.Number
    scheduler: gr.Dropdown
    lock: gr.Radio

    def components(self) -> dict[str, Any]:
        return {field.name: getattr(self, field.name) for field in fields(self)}

    def asked(self, prompt: str, values: Mapping[Any, Any]) -> Asked:
        """What stands in the form, from an event's values by component. Raises `PerfusionError`."""
        return Asked.of(prompt, {name: values[one] for name, one in self.components().items()})


@dataclass(frozen=True)
class SeedRow:
    seed: gr.Textbox
    dice: gr.Button
    keep: gr.Checkbox
    live: gr.Checkbox


def render_seed_row() -> SeedRow:
    """The seed is a text field: a number field rounds whole numbers over 2**53."""
    with gr.Row(elem_id="seed-row"):
        seed = gr.Textbox(
            "0", label="Seed", elem_id="seed", max_length=LONGEST_SEED, max_lines=1, min_width=110
        )
        dice = gr.Button("New seed", size="sm", elem_id="dice", scale=0, min_width=100)
        keep = gr.Checkbox(
            label="Keep",
            value=True,
            interactive=True,
            elem_id="keep",
            min_width=70,
            info="The same seed next time",
        )
        live = gr.Checkbox(
            label="Live",
            value=True,
            interactive=True,
            elem_id="live",
            min_width=70,
            info="The picture follows the slider",
        )
    return SeedRow(seed=seed, dice=dice, keep=keep, live=live)


def render_more(seed: gr.Textbox) -> GenerationForm:
    """The folded fields; `seed` is the one in view."""
    lock = gr.Radio(
        [
            ("Local: acts only where the concept is", "local"),
            ("Global: the whole picture leans towards it", "global"),
        ],
        value="local",
        label="Lock",
        elem_id="lock",
    )
    with gr.Row():
        count = gr.Slider(1, 16, value=1, step=1, label="Pictures", elem_id="count")
        steps = gr.Slider(
            0, MOST_STEPS, value=0, step=1, label="Steps", info="0: the base model's own", elem_id="steps"
        )
    with gr.Row():
        guidance = gr.Slider(
            0,
            MOST_GUIDANCE,
            value=0,
            step=0.5,
            label="Guidance",
            info="0: the base model's own",
            elem_id="guidance",
        )
        scheduler = gr.Dropdown(list(SCHEDULERS.items()), value="", label="Scheduler", elem_id="scheduler")
    with gr.Row():
        width, height = _side("Width"), _side("Height")
    negative = gr.Textbox(
        label="Not in the picture",
        info="Negative prompt",
        lines=1,
        max_length=LONGEST_PROMPT,
        elem_id="negative",
    )
    return GenerationForm(
        negative_prompt=negative,
        seed=seed,
        count=count,
        steps=steps,
        guidance=guidance,
        width=width,
        height=height,
        scheduler=scheduler,
        lock=lock,
    )


def _side(label: str) -> gr.Number:
    return gr.Number(
        0,
        label=label,
        info="0: the base model's own",
        precision=0,
        minimum=0,
        maximum=SIDES[1],
        step=SIDE_STEP,
        min_width=90,
    )
