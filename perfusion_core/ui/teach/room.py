"""Teach: photos in, a word for what they show, and the teaching as it goes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import gradio as gr

from perfusion_core.studio.teaching.example_photos import example_sets
from perfusion_core.ui.html import escape
from perfusion_core.ui.teach import photo_editor, progress_card
from perfusion_core.ui.teach.photo_editor import PhotoEditor

if TYPE_CHECKING:
    from perfusion_core.studio.app import Studio
    from perfusion_core.ui.served import Served

CLICKS = """
element.addEventListener('click', (event) => {
  const button = event.target.closest('[data-pick], [data-open]');
  if (button) trigger('click', {...button.dataset});
});
"""
# Photos of anything else can be taught too; these are words every base model knows.
KINDS = [
    "dog",
    "cat",
    "bird",
    "bear",
    "fish",
    "flower",
    "bag",
    "cup",
    "car",
    "toy",
    "house",
    "shoe",
    "teapot",
    "vase",
]
SUFFIXES = [".jpg", ".jpeg", ".png", ".webp", ".heic", ".heif", ".avif", ".tif", ".tiff", ".bmp", ".gif"]


@dataclass(frozen=True)
class TeachRoom:
    """`staged`: the photos as `Staged`; `shown`: what the progress card shows, so that it is only drawn "
    "anew when it changes."""

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
    settings: list[Any]
    go: gr.Button
    card: gr.HTML
    stop: gr.Button
    resume: gr.Button
    save: gr.Button
    use: gr.Button
    result: gr.HTML
    shown: gr.State
    timer: gr.Timer


def render(studio: Studio, served: Served) -> TeachRoom:
    with gr.Row(elem_id="teach", elem_classes="two"):
        with gr.Column(scale=5, min_width=320):
            with gr.Column(elem_classes="card"):
                gr.HTML(
                    "<h2>Photos</h2><p class='quiet'>One to eight of the same thing, from different sides."
                    "</p>",
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
                        max_length=40,
                        elem_id="teach-name",
                        min_width=120,
                    )
                    kind = gr.Dropdown(
                        KINDS,
                        value=None,
                        label="Kind of thing",
                        allow_custom_value=True,
                        elem_id="teach-kind",
                        interactive=True,
                        min_width=140,
                    )
                check = gr.HTML("", elem_id="kind-check", js_on_load=None)
                pace = gr.Radio(
                    [("Balanced", "balanced"), ("Quick, in half the steps", "quick")],
                    value="balanced",
                    label="Preset",
                    elem_id="teach-pace",
                )
                with gr.Accordion("More", open=False):
                    settings = _settings()
            go = gr.Button("Teach", variant="primary", size="lg", elem_id="teach-go", elem_classes="key-go")
        with gr.Column(scale=6, min_width=320):
            card = gr.HTML(progress_card.card(studio, served), elem_id="teaching", js_on_load=None)
            with gr.Row(elem_id="teach-buttons"):
                stop = gr.Button("Stop", elem_id="teach-stop", elem_classes="key-stop", visible=False)
                resume = gr.Button("Resume", variant="primary", elem_id="teach-resume", visible=False)
                save = gr.Button("Save now", elem_id="teach-save", visible=False)
                use = gr.Button("Use in Create", variant="primary", elem_id="teach-use", visible=False)
            result = gr.HTML("", elem_id="teach-result", js_on_load=None)
    return TeachRoom(
        files,
        examples,
        photos,
        editor,
        said,
        gr.State([]),
        name,
        kind,
        check,
        pace,
        settings,
        go,
        card,
        stop,
        resume,
        save,
        use,
        result,
        gr.State(""),
        gr.Timer(1.0),
    )


def _settings() -> list[Any]:
    steps = gr.Slider(
        0, 1000, value=0, step=10, label="Steps", info="0: what the preset says", elem_id="teach-steps"
    )
    flip = gr.Checkbox(
        True,
        label="Mirror photos too",
        info="Off for things whose left and right differ, such as text",
        elem_id="teach-flip",
    )
    mask = gr.Radio(
        [("Learn from the subject", "auto"), ("Learn from whole photos", "none")],
        value="auto",
        label="What is learned from",
        elem_id="teach-mask",
    )
    keys = gr.Radio(
        [("Locked, as in the paper", "locked"), ("Trained", "trained")],
        value="locked",
        label="Keys",
        info="Locked keys hold the attention of the kind of thing",
        elem_id="teach-keys",
    )
    seed = gr.Number(0, label="Seed", precision=0, minimum=0, elem_id="teach-seed")
    return [steps, flip, mask, keys, seed]


def _examples(served: Served) -> str:
    sets = example_sets()
    if not sets:
        return ""
    chips = "".join(
        f'<button type="button" class="set" data-pick="{escape(one.name)}" title="{escape(one.title)}" '
        f'aria-label="{escape(one.title)}"><img src="{escape(served.url(one.photos[0]))}" alt=""></button>'
        for one in sets
    )
    return f'<p class="quiet">Or try with example photos</p><div class="sets">{chips}</div>'
