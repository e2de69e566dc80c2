"""The panel of one concept: what it is, its name and notes, and what can be done with it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import gradio as gr

from perfusion_core.concept_name import MAX_NAME_LENGTH
from perfusion_core.studio.library.library import LONGEST_NOTES


@dataclass(frozen=True)
class ConceptPanel:
    """`chosen`: the name of the concept; empty when the panel is closed."""

    column: gr.Column
    chosen: gr.State
    facts: gr.HTML
    use: gr.Button
    teach_again: gr.Button
    name: gr.Textbox
    notes: gr.Textbox
    save: gr.Button
    duplicate: gr.Button
    export: gr.DownloadButton
    export_small: gr.DownloadButton
    delete: gr.Button

    def outputs(self) -> list[Any]:
        """The components that show which concept is chosen."""
        fields = [self.facts, self.name, self.notes, self.export, self.export_small]
        return [self.column, self.chosen, *fields]


def render() -> ConceptPanel:
    with gr.Column(
        scale=2, min_width=300, visible=False, elem_classes="card", elem_id="library-panel"
    ) as column:
        facts = gr.HTML("", js_on_load=None)
        with gr.Row():
            use = gr.Button("Use in Create", variant="primary", min_width=100, elem_id="use-concept")
            teach_again = gr.Button("Teach again", min_width=100, elem_id="teach-again")
        name = gr.Textbox(label="Name", max_length=MAX_NAME_LENGTH, elem_id="concept-name")
        notes = gr.Textbox(label="Notes", lines=3, max_length=LONGEST_NOTES, elem_id="concept-notes")
        with gr.Row():
            save = gr.Button("Save changes", min_width=100, elem_id="save-concept")
            duplicate = gr.Button("Duplicate", min_width=100, elem_id="duplicate")
        with gr.Row():
            export = gr.DownloadButton("Export", size="sm", min_width=100, elem_id="export")
            export_small = gr.DownloadButton("Export small", size="sm", min_width=100, elem_id="export-small")
            delete = gr.Button("Delete", size="sm", variant="stop", min_width=100, elem_id="delete-concept")
    return ConceptPanel(
        column=column,
        chosen=gr.State(""),
        facts=facts,
        use=use,
        teach_again=teach_again,
        name=name,
        notes=notes,
        save=save,
        duplicate=duplicate,
        export=export,
        export_small=export_small,
        delete=delete,
    )
