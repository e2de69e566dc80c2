"""Create: a prompt, one slider for each concept in it, and the images."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import gradio as gr

from perfusion_core.sampling.request import LONGEST_PROMPT
from perfusion_core.ui.create import concept_chips, generation_form, stage, word_help
from perfusion_core.ui.create.generation_form import GenerationForm, SeedRow
from perfusion_core.ui.create.prompt_edits import PromptEdits
from perfusion_core.ui.create.recent_images import shown_example
from perfusion_core.ui.create.stage import Stage

if TYPE_CHECKING:
    from perfusion_core.studio.app import Studio
    from perfusion_core.ui.served import Served

# A click on a chip sends the name of its concept.
CHIPS = """
element.addEventListener('click', (event) => {
  const chip = event.target.closest('[data-name]');
  if (chip) trigger('click', {name: chip.dataset.name});
});
"""


@dataclass(frozen=True)
class CreateRoom:
    """`positions`: slider positions (0..100) by concept; `mentions`: the concepts in the prompt with the
    numbers written there (see `concept_chips.mentions_of`); `doubt`: words of the prompt that the
    base does not know; `words`: those it knows; `job`: the id of the job that makes images, which Stop stops;
    `applied`: the time at which another room last filled the form; `edits`: what clicks wrote into the
    prompt, `PromptEdits`.
    """

    prompt: gr.Textbox
    doubt: gr.HTML
    chips: gr.HTML
    words: gr.HTML
    sliders: gr.Column
    form: GenerationForm
    seed_row: SeedRow
    go: gr.Button
    stop: gr.Button
    stage: Stage
    positions: gr.State
    mentions: gr.State
    job: gr.State
    applied: gr.State
    edits: gr.State


def render(studio: Studio, served: Served) -> CreateRoom:
    names = [entry.name for entry in studio.library.entries()]
    example = shown_example(studio)
    opening = example.recipe.prompt if example else concept_chips.first_prompt(names)
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
                    max_length=LONGEST_PROMPT,
                )
                doubt = gr.HTML("", elem_id="doubt", js_on_load=word_help.DOUBTING)
                chips = gr.HTML(
                    concept_chips.chips(studio, served, opening), elem_id="chips", js_on_load=CHIPS
                )
                words = gr.HTML(word_help.panel(studio), elem_id="words", js_on_load=word_help.PICKING)
            sliders = gr.Column(elem_classes="card", elem_id="sliders")
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
                seed_row = generation_form.render_seed_row()
                with gr.Accordion("More", open=False, elem_id="more"):
                    form = generation_form.render_more(seed_row.seed)
            gr.HTML(
                '<p class="quiet keys"><kbd>Ctrl</kbd> <kbd>Enter</kbd> creates, <kbd>Esc</kbd> stops</p>',
                js_on_load=None,
            )
        with gr.Column(scale=6, min_width=320):
            shown = stage.render()
    return CreateRoom(
        prompt=prompt,
        doubt=doubt,
        chips=chips,
        words=words,
        sliders=sliders,
        form=form,
        seed_row=seed_row,
        go=go,
        stop=stop,
        stage=shown,
        positions=gr.State({}),
        mentions=gr.State(concept_chips.mentions_of(opening, names)),
        job=gr.State(""),
        applied=gr.State(0.0),
        edits=gr.State(PromptEdits()),
    )
