"""Explore: the same image along one concept's gate bias, or over the biases of two; a click keeps one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import gradio as gr

from perfusion_core.sampling.request import LONGEST_PROMPT
from perfusion_core.ui.choice_list import choice_list
from perfusion_core.ui.explore import concept_choice
from perfusion_core.ui.field_values import LONGEST_SEED
from perfusion_core.ui.html import note

if TYPE_CHECKING:
    from perfusion_core.studio.app import Studio
    from perfusion_core.ui.served import Served

# A click, or Enter on a point that has the focus.
PICK = """
const pick = (event) => {
  const point = event.target.closest('[data-pick]');
  if (point) trigger('click', {pick: point.dataset.pick, job: point.closest('[data-job]').dataset.job});
};
element.addEventListener('click', pick);
element.addEventListener('keydown', (event) => { if (event.key === 'Enter' && !event.ctrlKey) pick(event); });
"""

NOTHING_YET = (
    '<div class="empty empty-board"><p class="strong">The front appears here</p><p class="quiet">One picture '
    "for each setting, and how much it has of the photos and of the prompt.</p></div>"
)


@dataclass(frozen=True)
class ExploreRoom:
    """`job`: the id of the front or grid under way, which Stop stops."""

    name: gr.Dropdown
    against: gr.Dropdown
    prompt: gr.Textbox
    lock: gr.Radio
    points: gr.Slider
    seeds: gr.Slider
    seed: gr.Textbox
    go: gr.Button
    stop: gr.Button
    said: gr.HTML
    board: gr.HTML
    job: gr.State


def render(studio: Studio, served: Served) -> ExploreRoom:
    names = concept_choice.names(studio)
    with gr.Row(elem_id="explore", elem_classes="two"):
        with gr.Column(scale=4, min_width=300):
            with gr.Column(elem_classes="card"):
                gr.HTML(
                    "<h2>Explore</h2><p class='quiet'>One seed, drawn at several gate biases. A high bias "
                    "follows the prompt, a low one is faithful to the photos. Click a point to keep it.</p>",
                    js_on_load=None,
                )
                name = choice_list(
                    names, value=names[0] if names else None, label="Concept", elem_id="explore-name"
                )
                against = choice_list(
                    [concept_choice.ALONE, *names],
                    value="",
                    label="Against",
                    elem_id="explore-against",
                )
                prompt = gr.Textbox(
                    concept_choice.opening(names[0] if names else "", ""),
                    label="Prompt",
                    lines=2,
                    max_length=LONGEST_PROMPT,
                    elem_id="explore-prompt",
                )
                lock = gr.Radio(
                    [("Local lock", "local"), ("Global lock", "global")],
                    value="local",
                    label="Lock",
                    elem_id="explore-lock",
                )
                with gr.Row():
                    points = gr.Slider(
                        2,
                        9,
                        value=7,
                        step=1,
                        label="Points",
                        elem_id="explore-points",
                        min_width=140,
                    )
                    seeds = gr.Slider(
                        1, 4, value=1, step=1, label="Seeds", elem_id="explore-seeds", min_width=140
                    )
                seed = gr.Textbox(
                    "0", label="First seed", max_length=LONGEST_SEED, max_lines=1, elem_id="explore-seed"
                )
            with gr.Row():
                go = gr.Button(
                    "Draw the front",
                    variant="primary",
                    size="lg",
                    elem_id="explore-go",
                    elem_classes="key-go",
                )
                stop = gr.Button(
                    "Stop",
                    size="lg",
                    visible=False,
                    scale=0,
                    min_width=110,
                    elem_id="explore-stop",
                    elem_classes="key-stop",
                )
        with gr.Column(scale=7, min_width=320):
            said = gr.HTML(
                "" if names else note("Teach or import a concept first."),
                elem_id="explore-said",
                js_on_load=None,
            )
            board = gr.HTML(NOTHING_YET, elem_id="board", js_on_load=PICK)
    return ExploreRoom(
        name=name,
        against=against,
        prompt=prompt,
        lock=lock,
        points=points,
        seeds=seeds,
        seed=seed,
        go=go,
        stop=stop,
        said=said,
        board=board,
        job=gr.State(""),
    )
