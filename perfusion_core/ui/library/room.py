"""Library: the concepts as cards, and a panel for the one that is chosen."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import gradio as gr

from perfusion_core.concept_name import MAX_NAME_LENGTH
from perfusion_core.ui.library import concept_panel
from perfusion_core.ui.library.cards import card_grid, cards
from perfusion_core.ui.library.concept_panel import ConceptPanel

if TYPE_CHECKING:
    from perfusion_core.studio.app import Studio
    from perfusion_core.ui.served import Served


@dataclass(frozen=True)
class LibraryRoom:
    """`deleted`: the id of the concept deleted last, for Undo; `refused`: the path of a file whose name is
    taken, until `import_name` gives another.
    """

    grid: gr.HTML
    said: gr.HTML
    undo: gr.Button
    deleted: gr.State
    incoming: gr.UploadButton
    folder: gr.UploadButton
    import_name: gr.Textbox
    refused: gr.State
    panel: ConceptPanel


def render(studio: Studio, served: Served) -> LibraryRoom:
    with gr.Column(elem_id="library-room"):
        with gr.Row(elem_classes="room-head"):
            gr.HTML(
                "<h2>Library</h2><p class='quiet'>Everything you have taught or imported. A concept is a "
                "small file; give it to anyone who has the same base model. Drop files here to import "
                "them.</p>",
                js_on_load=None,
            )
            incoming = gr.UploadButton(
                "Import concepts",
                file_types=[".safetensors"],
                file_count="multiple",
                elem_id="import",
                scale=0,
                min_width=180,
            )
            folder = gr.UploadButton(
                "Import a folder", file_count="directory", elem_id="import-folder", scale=0, min_width=180
            )
        import_name = gr.Textbox(
            label="That name is taken. Import it as",
            visible=False,
            max_length=MAX_NAME_LENGTH,
            submit_btn="Import",
            elem_id="import-name",
        )
        with gr.Row(elem_classes="said-row"):
            said = gr.HTML("", elem_id="library-said", js_on_load=None)
            undo = gr.Button("Undo", visible=False, size="sm", scale=0, elem_id="undo")
        with gr.Row(elem_id="library-body"):
            with gr.Column(scale=3, min_width=300):
                grid = card_grid(cards(studio.library, served), "library-cards")
            panel = concept_panel.render()
    return LibraryRoom(
        grid=grid,
        said=said,
        undo=undo,
        deleted=gr.State(""),
        incoming=incoming,
        folder=folder,
        import_name=import_name,
        refused=gr.State(""),
        panel=panel,
    )
