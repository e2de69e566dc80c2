"""Teach: photos in, a word for what they show, and the teaching as it goes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import gradio as gr

from perfusion_core.concept_name import MAX_NAME_LENGTH
from perfusion_core.studio.teaching.example_photos import example_sets
from perfusion_core.ui.choice_list import choice_list
from perfusion_core.ui.html import escape
from perfusion_core.ui.meant_word import SENDING
from perfusion_core.ui.teach import photo_editor, progress_panel, training_form
from perfusion_core.ui.teach.photo_editor import PhotoEditor
from perfusion_core.ui.teach.progress_panel import ProgressPanel
from perfusion_core.ui.teach.superclass_check import suggestions
from perfusion_core.ui.teach.training_form import TrainingForm

if TYPE_CHECKING:
    from perfusion_core.studio.app import Studio
    from perfusion_core.ui.served import Served

# A click on a photo, or on a set of example photos, sends what its button carries.
CLICKS = """
element.addEventListener('click', (event) => {
  const button = event.target.closest('[data-pick], [data-open], [data-turn]');
  if (button) trigger('click', {...button.dataset});
});
"""
SUFFIXES = [".jpg", ".jpeg", ".png", ".webp", ".heic", ".heif", ".avif", ".tif", ".tiff", ".bmp", ".gif"]


@dataclass(frozen=True)
class TeachRoom:
    """`staged`: the photos taken in, a list of `Staged`."""

    files: gr.File
    examples: gr.HTML
    photos: gr.HTML
    editor: PhotoEditor
    said: gr.HTML
    staged: gr.State
    name: gr.Textbox
    kind: gr.Dropdown
    check: gr.HTML
    pace: gr.Radio
    form: TrainingForm
    go: gr.Button
    progress: ProgressPanel


def render(studio: Studio, served: Served) -> TeachRoom:
    with gr.Row(elem_id="teach", elem_classes="two"):
        with gr.Column(scale=5, min_width=320):
            with gr.Column(elem_classes="card"):
                gr.HTML(
                    "<h2>Photos</h2><p class='quiet'>One to eight of the same thing, at different "
                    "places, seen from one side.</p>",
                    js_on_load=None,
                )
                files = gr.File(
                    label="Drop photos here, or click",
                    file_count="multiple",
                    file_types=SUFFIXES,
                    height=104,
                    elem_id="photos-in",
                    show_label=False,
                )
                photos = gr.HTML("", elem_id="photos", js_on_load=CLICKS)
                editor = photo_editor.render()
                examples = gr.HTML(_examples(served), elem_id="examples", js_on_load=CLICKS)
                said = gr.HTML("", elem_id="teach-said", js_on_load=None)
            with gr.Column(elem_classes="card"):
                with gr.Row():
                    name = gr.Textbox(
                        label="Its name",
                        placeholder="biscuit",
                        max_length=MAX_NAME_LENGTH,
                        elem_id="teach-name",
                        min_width=120,
                    )
                    kind = choice_list(
                        suggestions(studio),
                        value=None,
                        label="Kind of thing",
                        allow_custom_value=True,
                        elem_id="teach-kind",
                        min_width=140,
                    )
                check = gr.HTML("", elem_id="kind-check", js_on_load=SENDING)
                pace = gr.Radio(
                    [("Balanced", "balanced"), ("Quick, in half the steps", "quick")],
                    value="balanced",
                    label="Preset",
                    elem_id="teach-pace",
                )
                with gr.Accordion("More", open=False):
                    form = training_form.render()
            go = gr.Button("Teach", variant="primary", size="lg", elem_id="teach-go", elem_classes="key-go")
        with gr.Column(scale=6, min_width=320):
            progress = progress_panel.render(studio, served)
    return TeachRoom(
        files=files,
        examples=examples,
        photos=photos,
        editor=editor,
        said=said,
        staged=gr.State([]),
        name=name,
        kind=kind,
        check=check,
        pace=pace,
        form=form,
        go=go,
        progress=progress,
    )


def _examples(served: Served) -> str:
    """The bundled sets of photos as buttons; nothing where there are none."""
    sets = example_sets()
    if not sets:
        return ""
    chips = "".join(
        f'<button type="button" class="set" data-pick="{escape(one.name)}" title="{escape(one.title)}" '
        f'aria-label="{escape(one.title)}"><img src="{escape(served.url(one.photos[0]))}" alt=""></button>'
        for one in sets
    )
    return f'<p class="quiet">Or try with example photos</p><div class="sets">{chips}</div>'
