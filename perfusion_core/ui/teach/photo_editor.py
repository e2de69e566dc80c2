"""The editor of one photo: its mask under a brush, and the sliders of its square."""

from __future__ import annotations

from dataclasses import dataclass

import gradio as gr

from perfusion_core.studio.teaching.mask_editor import CLOSEST, OPACITY, SIDE
from perfusion_core.studio.teaching.staging import TINT

COLOUR = (f"rgb({TINT[0]}, {TINT[1]}, {TINT[2]})", OPACITY)


@dataclass(frozen=True)
class PhotoEditor:
    """`opened`: the photo in the editor, an `Opened` or None."""

    opened: gr.State
    panel: gr.Column
    head: gr.HTML
    canvas: gr.ImageEditor
    zoom: gr.Slider
    across: gr.Slider
    down: gr.Slider
    said: gr.HTML
    apply: gr.Button
    mirror: gr.Button
    reset: gr.Button
    close: gr.Button


def render() -> PhotoEditor:
    with gr.Column(visible=False, elem_id="photo-editor") as panel:
        head = gr.HTML("", js_on_load=None)
        canvas = gr.ImageEditor(
            type="pil",
            format="png",
            sources=(),
            transforms=(),
            layers=False,
            buttons=[],
            show_label=False,
            label="Mask",
            canvas_size=(SIDE, SIDE),
            fixed_canvas=True,
            height=380,
            brush=gr.Brush(default_size=36, colors=[COLOUR], default_color=COLOUR, color_mode="fixed"),
            eraser=gr.Eraser(default_size=36),
            elem_id="mask-editor",
        )
        with gr.Row(elem_id="crop-sliders"):
            zoom = gr.Slider(1, CLOSEST, 1, step=0.05, label="Zoom", min_width=110, elem_id="crop-zoom")
            across = gr.Slider(
                0, 100, 50, step=1, label="Left to right", min_width=110, elem_id="crop-across"
            )
            down = gr.Slider(0, 100, 50, step=1, label="Top to bottom", min_width=110, elem_id="crop-down")
        said = gr.HTML("", elem_id="photo-said", js_on_load=None)
        with gr.Row():
            done = gr.Button("Apply", variant="primary", size="md", min_width=70, elem_id="photo-apply")
            mirror = gr.Button("Mirror", size="md", min_width=70, elem_id="photo-mirror")
            reset = gr.Button("Reset", size="md", min_width=70, elem_id="photo-reset")
            close = gr.Button("Cancel", size="md", min_width=70, elem_id="photo-close")
    return PhotoEditor(
        opened=gr.State(None),
        panel=panel,
        head=head,
        canvas=canvas,
        zoom=zoom,
        across=across,
        down=down,
        said=said,
        apply=done,
        mirror=mirror,
        reset=reset,
        close=close,
    )
