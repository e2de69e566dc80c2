"""The right half of Teach: the card of a teaching, and its buttons."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import gradio as gr

from perfusion_core.ui.teach import progress_card

if TYPE_CHECKING:
    from perfusion_core.studio.app import Studio
    from perfusion_core.ui.served import Served


@dataclass(frozen=True)
class ProgressPanel:
    """`job`: the id of the teaching the card shows, on which the buttons act; `shown`: the card's HTML, so
    that it is sent only when it changes.
    """

    card: gr.HTML
    stop: gr.Button
    resume: gr.Button
    save: gr.Button
    use: gr.Button
    result: gr.HTML
    job: gr.State
    shown: gr.State
    timer: gr.Timer


def render(studio: Studio, served: Served) -> ProgressPanel:
    card = gr.HTML(progress_card.latest_card(studio, served).html, elem_id="teaching", js_on_load=None)
    with gr.Row(elem_id="teach-buttons"):
        stop = gr.Button("Stop", elem_id="teach-stop", elem_classes="key-stop", visible=False)
        resume = gr.Button("Resume", variant="primary", elem_id="teach-resume", visible=False)
        save = gr.Button("Save now", elem_id="teach-save", visible=False)
        use = gr.Button("Use in Create", variant="primary", elem_id="teach-use", visible=False)
    result = gr.HTML("", elem_id="teach-result", js_on_load=None)
    return ProgressPanel(
        card=card,
        stop=stop,
        resume=resume,
        save=save,
        use=use,
        result=result,
        job=gr.State(""),
        shown=gr.State(""),
        timer=gr.Timer(1.0),
    )
