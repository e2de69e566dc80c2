"""The images of Create: those just made, where concepts acted in them, and earlier ones to compare with."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import gradio as gr


@dataclass(frozen=True)
class Stage:
    """`example`: the photos of what stands in `gallery` before anything was made; `picks`: paths of the last
    two images picked among the recent ones; `chosen`: the index of the image in `gallery` that was clicked.
    """

    said: gr.HTML
    example: gr.HTML
    gallery: gr.Gallery
    look: gr.Button
    maps_said: gr.HTML
    maps: gr.Gallery
    recent_head: gr.HTML
    recent: gr.Gallery
    compare: gr.Accordion
    pair: gr.ImageSlider
    picks: gr.State
    chosen: gr.State


def render() -> Stage:
    said = gr.HTML("", elem_id="create-said", js_on_load=None)
    example = gr.HTML("", elem_id="example", js_on_load=None)
    gallery = _gallery(
        "gallery", label="Pictures", columns=1, object_fit="contain", preview=False, fullscreen=True
    )
    look = gr.Button("Where each concept acted", size="sm", elem_id="look", visible=False)
    maps_said = gr.HTML("", elem_id="acting-said", js_on_load=None)
    maps = _gallery("acting", columns=2, fit_columns=False, object_fit="contain", visible=False)
    recent_head = gr.HTML(
        "<h2>Recent</h2><p class='quiet'>Click one to see it, and another to compare the two.</p>",
        elem_id="recent-head",
        js_on_load=None,
        visible=False,
    )
    recent = _gallery(
        "recent", columns=6, fit_columns=False, object_fit="cover", allow_preview=False, visible=False
    )
    with gr.Accordion("Compare the last two you picked", open=True, visible=False, elem_id="compare") as box:
        pair = gr.ImageSlider(
            label="Compare", show_label=False, interactive=False, elem_id="pair", buttons=[]
        )
    return Stage(
        said=said,
        example=example,
        gallery=gallery,
        look=look,
        maps_said=maps_said,
        maps=maps,
        recent_head=recent_head,
        recent=recent,
        compare=box,
        pair=pair,
        picks=gr.State([]),
        chosen=gr.State(0),
    )


def _gallery(elem_id: str, fullscreen: bool = False, **options: Any) -> gr.Gallery:
    """A gallery that shows files as they are and takes none."""
    return gr.Gallery(
        show_label=False,
        elem_id=elem_id,
        interactive=False,
        container=False,
        buttons=["download", "fullscreen"] if fullscreen else ["download"],
        height="auto",
        **options,
    )
