"""What the Library's buttons do: rename, notes, duplicate, delete with undo, export, import."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import gradio as gr

from perfusion_core.errors import PerfusionError
from perfusion_core.ui import open_in_create
from perfusion_core.ui.html import note
from perfusion_core.ui.library.cards import cards
from perfusion_core.ui.library.details import details
from perfusion_core.ui.library.room import LibraryRoom
from perfusion_core.ui.teach import teach_again

if TYPE_CHECKING:
    from perfusion_core.studio.app import Studio
    from perfusion_core.ui.create.room import CreateRoom
    from perfusion_core.ui.served import Served
    from perfusion_core.ui.teach.room import TeachRoom


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
        lambda name: open_in_create.concept(create, name),
        room.chosen,
        open_in_create.targets(create, rooms),
        **quiet,
    )
    room.again.click(
        lambda name: teach_again.teach_again(studio, served, name),
        room.chosen,
        teach_again.targets(teach, rooms),
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
    return studio.library.free_name(name)


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
    from perfusion_core.ui.html import escape

    return escape(str(error))
