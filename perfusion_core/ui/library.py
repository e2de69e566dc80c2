"""Library: the concepts as cards; rename, notes, duplicate, delete with undo, export, import."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import gradio as gr

from perfusion_core.errors import PerfusionError
from perfusion_core.ui import again, handover
from perfusion_core.ui.cards import card_grid, cards
from perfusion_core.ui.details import details
from perfusion_core.ui.words import note

if TYPE_CHECKING:
    from perfusion_core.studio.app import Studio
    from perfusion_core.ui.create import CreateRoom
    from perfusion_core.ui.served import Served
    from perfusion_core.ui.teach import TeachRoom


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


def listen(
    room: LibraryRoom,
    create: CreateRoom,
    teach: TeachRoom,
    rooms: gr.Tabs,
    studio: Studio,
    served: Served,
    tab: gr.Tab,
    demo: gr.Blocks,
) -> None:
    library = studio.library
    panel = [room.chosen, room.panel, room.facts, room.name, room.notes, room.export, room.compact]
    everything = [room.grid, room.said, room.undo, *panel]

    def opened(name: str) -> list[Any]:
        """The panel for a concept; closed when it is gone."""
        entry = library.find(name) if name else None
        if entry is None:
            return ["", gr.Column(visible=False), "", "", "", None, None]
        files = [str(_exported(studio, served, entry.name, small)) for small in (False, True)]
        return [
            entry.name,
            gr.Column(visible=True),
            details(entry, studio, served),
            entry.name,
            entry.metadata.notes,
            *files,
        ]

    def page(chosen: str = "", said: str = "", undo: bool = False) -> list[Any]:
        return [cards(library, served, chosen), said, gr.Button(visible=undo), *opened(chosen)]

    def choose(event: gr.EventData) -> list[Any]:
        try:
            return opened(str(event.name))
        except PerfusionError as error:
            raise gr.Error(_plain(error)) from None

    def save(chosen: str, name: str, notes: str) -> list[Any]:
        try:
            library.set_notes(chosen, notes)
            entry = library.rename(chosen, name)
        except PerfusionError as error:
            return page(chosen, note(str(error), "problem"))
        return page(entry.name, note("Saved.", "good"))

    def duplicate(chosen: str) -> list[Any]:
        try:
            entry = library.duplicate(chosen, _free_name(studio, chosen))
        except PerfusionError as error:
            return page(chosen, note(str(error), "problem"))
        return page(entry.name, note(f"<{chosen}> now has a copy called <{entry.name}>.", "good"))

    def delete(chosen: str) -> list[Any]:
        try:
            thrown = library.delete(chosen)
        except PerfusionError as error:
            return [*page(chosen, note(str(error), "problem")), ""]
        return [*page("", note(f"<{thrown.name}> was deleted."), undo=True), thrown.id]

    def undo(thrown: str) -> list[Any]:
        try:
            entry = library.restore(thrown)
        except PerfusionError as error:
            return page("", note(str(error), "problem"))
        return page(entry.name, note(f"<{entry.name}> is back.", "good"))

    def take(path: str, name: str = "") -> list[Any]:
        """Import a file; when its name is taken, ask for another."""
        ask = gr.Textbox(visible=False, value="")
        try:
            entry = library.import_file(Path(path), name=name or None)
        except PerfusionError as error:
            taken = _taken_name(studio, Path(path))
            if taken:
                ask = gr.Textbox(visible=True, value=_free_name(studio, taken))
            return [*page("", note(str(error), "problem")), ask, path if taken else ""]
        return [*page(entry.name, note(f"<{entry.name}> was imported.", "good")), ask, ""]

    quiet: dict[str, Any] = {"show_progress": "hidden", "api_visibility": "private"}
    room.grid.click(choose, None, panel, **quiet)
    room.save.click(save, [room.chosen, room.name, room.notes], everything, **quiet)
    room.duplicate.click(duplicate, room.chosen, everything, **quiet)
    room.delete.click(delete, room.chosen, [*everything, room.deleted], **quiet)
    room.undo.click(undo, room.deleted, everything, **quiet)
    asked = [*everything, room.import_name, room.refused]
    room.incoming.upload(take, room.incoming, asked, **quiet)
    room.import_name.submit(take, [room.refused, room.import_name], asked, **quiet)
    room.use.click(
        lambda name: handover.concept(create, name), room.chosen, handover.targets(create, rooms), **quiet
    )
    room.again.click(
        lambda name: again.teach_again(studio, served, name),
        room.chosen,
        again.targets(teach, rooms),
        **quiet,
    )
    tab.select(lambda chosen: cards(library, served, chosen), room.chosen, room.grid, **quiet)
    demo.load(lambda: cards(library, served), None, room.grid, **quiet)


def _exported(studio: Studio, served: Served, name: str, small: bool) -> Path:
    entry = studio.library.get(name)
    folder = (
        served.folder / "exports" / f"{entry.id}-{int(entry.modified * 1000)}-{'fp16' if small else 'fp32'}"
    )
    target = folder / f"{entry.name}.safetensors"
    if not target.exists():
        folder.mkdir(parents=True, exist_ok=True)
        studio.library.export(name, target, precision="float16" if small else "float32", overwrite=True)
    return target


def _free_name(studio: Studio, name: str) -> str:
    taken = {entry.name for entry in studio.library.entries()}
    number = 2
    while f"{name[:36]}-{number}" in taken:
        number += 1
    return f"{name[:36]}-{number}"


def _taken_name(studio: Studio, path: Path) -> str:
    """The name inside a readable concept file when the library has it already, else nothing."""
    from perfusion_core.concept import read_metadata

    try:
        name = read_metadata(path).name
    except PerfusionError:
        return ""
    return name if studio.library.find(name) is not None else ""


def _plain(error: PerfusionError) -> str:
    """Gradio shows messages as HTML."""
    from perfusion_core.ui.words import escape

    return escape(str(error))
