"""Create: a prompt, one slider for each concept in it, and the pictures."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import gradio as gr

from perfusion_core.studio.creating.mentions import mentioned
from perfusion_core.ui.create import concept_chips
from perfusion_core.ui.create.form_values import SCHEDULERS

if TYPE_CHECKING:
    from perfusion_core.studio.app import Studio
    from perfusion_core.ui.served import Served

CHIPS = """
element.addEventListener('click', (event) => {
  const chip = event.target.closest('[data-name]');
  if (chip) trigger('click', {name: chip.dataset.name});
});
"""


@dataclass(frozen=True)
class CreateRoom:
    """`positions`: slider positions (0..100) by concept; `mentions`: the concepts in the prompt; `job`: the
    one watched; `applied`: when another room last set the form."""

    prompt: gr.Textbox
    chips: gr.HTML
    sliders: gr.Column
    form: list[Any]
    seed: gr.Number
    dice: gr.Button
    keep: gr.Checkbox
    live: gr.Checkbox
    go: gr.Button
    stop: gr.Button
    said: gr.HTML
    gallery: gr.Gallery
    look: gr.Button
    acting: gr.Gallery
    recent_head: gr.HTML
    recent: gr.Gallery
    compare: gr.Accordion
    pair: gr.ImageSlider
    positions: gr.State
    mentions: gr.State
    job: gr.State
    applied: gr.State
    picks: gr.State
    chosen: gr.State


def render(studio: Studio, served: Served) -> CreateRoom:
    names = [entry.name for entry in studio.library.entries()]
    opening = concept_chips.first_prompt(names)
    with gr.Row(elem_id="create", elem_classes="two"):
        with gr.Column(scale=5, min_width=320):
            with gr.Column(elem_classes="card"):
                prompt = gr.Textbox(
                    opening,
                    label="Prompt",
                    lines=2,
                    max_lines=6,
                    elem_id="prompt",
                    placeholder="a photo of <name> on the beach",
                    max_length=2000,
                )
                chips = gr.HTML(
                    concept_chips.chips(studio, served, opening), elem_id="chips", js_on_load=CHIPS
                )
            with gr.Column(elem_classes="card", elem_id="sliders") as sliders:
                pass
            with gr.Row(elem_id="actions"):
                go = gr.Button("Create", variant="primary", size="lg", elem_id="go", elem_classes="key-go")
                stop = gr.Button(
                    "Stop",
                    size="lg",
                    elem_id="stop",
                    elem_classes="key-stop",
                    visible=False,
                    scale=0,
                    min_width=110,
                )
            with gr.Column(elem_classes="card", elem_id="create-form"):
                with gr.Row(elem_id="seed-row"):
                    seed = gr.Number(
                        label="Seed", value=0, precision=0, minimum=0, elem_id="seed", min_width=110
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
                with gr.Accordion("More", open=False, elem_id="more"):
                    form = _more()
            gr.HTML(
                '<p class="quiet keys"><kbd>Ctrl</kbd> <kbd>Enter</kbd> creates, <kbd>Esc</kbd> stops</p>',
                js_on_load=None,
            )
        with gr.Column(scale=6, min_width=320):
            said = gr.HTML("", elem_id="create-said", js_on_load=None)
            gallery = gr.Gallery(
                label="Pictures",
                show_label=False,
                elem_id="gallery",
                columns=1,
                object_fit="contain",
                preview=False,
                interactive=False,
                buttons=["download", "fullscreen"],
                height="auto",
                container=False,
            )
            look = gr.Button("Where each concept acted", size="sm", elem_id="look", visible=False)
            acting = gr.Gallery(
                show_label=False,
                elem_id="acting",
                columns=2,
                fit_columns=False,
                object_fit="contain",
                interactive=False,
                container=False,
                buttons=["download"],
                height="auto",
                visible=False,
            )
            recent_head = gr.HTML(
                "<h2>Lately</h2><p class='quiet'>Click one to see it, another to compare the two.</p>",
                elem_id="recent-head",
                js_on_load=None,
                visible=False,
            )
            recent = gr.Gallery(
                show_label=False,
                elem_id="recent",
                columns=6,
                fit_columns=False,
                object_fit="cover",
                interactive=False,
                container=False,
                buttons=["download"],
                height="auto",
                allow_preview=False,
                visible=False,
            )
            with gr.Accordion(
                "Compare the last two you picked", open=True, visible=False, elem_id="compare"
            ) as compare:
                pair = gr.ImageSlider(
                    label="Compare", show_label=False, interactive=False, elem_id="pair", buttons=[]
                )
    negative, count, steps, guidance, width, height, scheduler, lock = form
    return CreateRoom(
        prompt,
        chips,
        sliders,
        [negative, seed, count, steps, guidance, width, height, scheduler, lock],
        seed,
        dice,
        keep,
        live,
        go,
        stop,
        said,
        gallery,
        look,
        acting,
        recent_head,
        recent,
        compare,
        pair,
        gr.State({}),
        gr.State(mentioned(opening, names)),
        gr.State(""),
        gr.State(0.0),
        gr.State([]),
        gr.State(0),
    )


def _more() -> list[Any]:
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
        steps = gr.Slider(0, 100, value=0, step=1, label="Steps", info="0: its own", elem_id="steps")
    with gr.Row():
        guidance = gr.Slider(
            0, 20, value=0, step=0.5, label="Guidance", info="0: its own", elem_id="guidance"
        )
        scheduler = gr.Dropdown(list(SCHEDULERS.items()), value="", label="Scheduler", elem_id="scheduler")
    with gr.Row():
        width = gr.Number(
            0,
            label="Width",
            info="0: its own size",
            precision=0,
            minimum=0,
            maximum=2048,
            step=8,
            min_width=90,
        )
        height = gr.Number(
            0,
            label="Height",
            info="0: its own size",
            precision=0,
            minimum=0,
            maximum=2048,
            step=8,
            min_width=90,
        )
    negative = gr.Textbox(
        label="Not in the picture", info="Negative prompt", lines=1, max_length=1000, elem_id="negative"
    )
    return [negative, count, steps, guidance, width, height, scheduler, lock]
