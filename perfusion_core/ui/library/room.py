"""Library: the concepts as cards; rename, notes, duplicate, delete with undo, export, import."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import gradio as gr

from perfusion_core.ui.library.cards import card_grid, cards

if TYPE_CHECKING:
    from perfusion_core.studio.app import Studio
    from perfusion_core.ui.served import Served


@dataclass(frozen=True)
class LibraryRoom:
    """`chosen` is the name of the concept whose panel is open; `deleted` the id of the last one thrown "
    "away."""

    grid: gr.HTML
    said: gr.HTML
    panel: gr.Column
    facts: gr.HTML
    chosen: gr.State
    deleted: gr.State
    name: gr.Textbox
    notes: gr.Textbox
    save: gr.Button
    duplicate: gr.Button
    delete: gr.Button
    undo: gr.Button
    use: gr.Button
    again: gr.Button
    export: gr.DownloadButton
    compact: gr.DownloadButton
    incoming: gr.UploadButton
    import_name: gr.Textbox
    refused: gr.State


def render(studio: Studio, served: Served) -> LibraryRoom:
    with gr.Column(elem_id="library-room"):
        with gr.Row(elem_classes="room-head"):
            gr.HTML(
                "<h2>Library</h2><p class='quiet'>Everything you have taught or imported. A concept is a "
                "small file; give it to anyone who has the same base model. Drop one here to import it.</p>",
                js_on_load=None,
            )
            incoming = gr.UploadButton(
                "Import a concept", file_types=[".safetensors"], elem_id="import", scale=0, min_width=170
            )
        import_name = gr.Textbox(
            label="That name is taken. Import it as",
            visible=False,
            submit_btn="Import",
            elem_id="import-name",
        )
        with gr.Row(elem_classes="said-row"):
            said = gr.HTML("", elem_id="library-said", js_on_load=None)
            undo = gr.Button("Undo", visible=False, size="sm", scale=0, elem_id="undo")
        with gr.Row(elem_id="library-body"):
            with gr.Column(scale=3, min_width=300):
                grid = card_grid(cards(studio.library, served), "library-cards")
            with gr.Column(
                scale=2, min_width=300, visible=False, elem_classes="card", elem_id="library-panel"
            ) as panel:
                facts = gr.HTML("", js_on_load=None)
                with gr.Row():
                    use = gr.Button("Use in Create", variant="primary", min_width=100, elem_id="use-concept")
                    teach_again = gr.Button("Teach again", min_width=100, elem_id="teach-again")
                name = gr.Textbox(label="Name", max_length=40, elem_id="concept-name")
                notes = gr.Textbox(label="Notes", lines=3, max_length=2000, elem_id="concept-notes")
                with gr.Row():
                    save = gr.Button("Save changes", min_width=100, elem_id="save-concept")
                    duplicate = gr.Button("Duplicate", min_width=100, elem_id="duplicate")
                with gr.Row():
                    export = gr.DownloadButton("Export", size="sm", min_width=100, elem_id="export")
                    compact = gr.DownloadButton(
                        "Export small", size="sm", min_width=100, elem_id="export-small"
                    )
                    delete = gr.Button(
                        "Delete", size="sm", variant="stop", min_width=100, elem_id="delete-concept"
                    )
    return LibraryRoom(
        grid,
        said,
        panel,
        facts,
        gr.State(""),
        gr.State(""),
        name,
        notes,
        save,
        duplicate,
        delete,
        undo,
        use,
        teach_again,
        export,
        compact,
        incoming,
        import_name,
        gr.State(""),
    )
