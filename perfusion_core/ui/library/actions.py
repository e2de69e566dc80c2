"""What the Library's buttons do: rename, notes, duplicate, delete with undo, export, import."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import gradio as gr

from perfusion_core.concept import read_metadata, validate_name
from perfusion_core.errors import NameTakenError, PerfusionError
from perfusion_core.files import make_folder
from perfusion_core.studio.library.import_many import concepts_among, import_many
from perfusion_core.ui import open_in_create
from perfusion_core.ui.event_options import EACH, QUIET, Updates
from perfusion_core.ui.html import note
from perfusion_core.ui.library.cards import cards
from perfusion_core.ui.library.details import details
from perfusion_core.ui.library.import_summary import import_summary
from perfusion_core.ui.library.room import LibraryRoom
from perfusion_core.ui.teach import photo_intake, teach_again

if TYPE_CHECKING:
    from perfusion_core.studio.app import Studio
    from perfusion_core.studio.library.library import Library
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
    library, panel = studio.library, room.panel

    def opened(name: str) -> Updates:
        """The panel for a concept; closed when it is gone. Raises `PerfusionError` when it cannot be read."""
        entry = library.find(name) if name else None
        if entry is None:
            return {panel.column: gr.Column(visible=False), panel.chosen: ""}
        return {
            panel.column: gr.Column(visible=True),
            panel.chosen: entry.name,
            panel.facts: details(entry, studio, served),
            panel.name: entry.name,
            panel.notes: entry.metadata.notes,
            panel.export: str(_exported(studio, served, entry.name, small=False)),
            panel.export_small: str(_exported(studio, served, entry.name, small=True)),
        }

    def page(chosen: str, said: str, undo: bool = False) -> Updates:
        """The cards with one chosen, a message, and the panel."""
        try:
            panel_now = opened(chosen)
        except PerfusionError as error:
            chosen, said, panel_now = "", said + note(str(error), "problem"), opened("")
        return {
            room.grid: cards(library, served, chosen),
            room.said: said,
            room.undo: gr.Button(visible=undo),
            **panel_now,
        }

    def choose(event: gr.EventData) -> Updates:
        try:
            return opened(str(event.name))
        except PerfusionError as error:
            return {room.said: note(str(error), "problem")}

    def save(chosen: str, name: str | None, notes: str | None) -> Updates:
        try:
            wanted = validate_name((name or "").strip("<> "))
            if wanted != chosen:
                library.check_free(wanted)  # first, so that a refused name leaves the notes as they are
            library.set_notes(chosen, notes or "")
            entry = library.rename(chosen, wanted)
        except PerfusionError as error:
            return page(chosen, note(str(error), "problem"))
        return page(entry.name, note("Saved.", "good"))

    def duplicate(chosen: str) -> Updates:
        try:
            entry = library.duplicate(chosen, library.free_name(chosen))
        except PerfusionError as error:
            return page(chosen, note(str(error), "problem"))
        return page(entry.name, note(f"<{chosen}> now has a copy called <{entry.name}>.", "good"))

    def delete(chosen: str) -> Updates:
        try:
            deleted = library.delete(chosen)
        except PerfusionError as error:
            return {**page(chosen, note(str(error), "problem")), room.deleted: ""}
        return {**page("", note(f"<{deleted.name}> was deleted."), undo=True), room.deleted: deleted.id}

    def undo(deleted: str) -> Updates:
        try:
            entry = library.restore(deleted)
        except PerfusionError as error:
            return page("", note(str(error), "problem"))
        return page(entry.name, note(f"<{entry.name}> is back.", "good"))

    def take(path: str, name: str | None = "") -> Updates:
        """Import a file; when its name is taken, ask for another."""
        try:
            entry = library.import_file(Path(path), name=name or None)
        except PerfusionError as error:
            free = _free_name(library, Path(path)) if isinstance(error, NameTakenError) else ""
            ask = gr.Textbox(visible=bool(free), value=free)
            said = page("", note(str(error), "problem"))
            return {**said, room.import_name: ask, room.refused: path if free else ""}
        said = page(entry.name, note(f"<{entry.name}> was imported.", "good"))
        return {**said, room.import_name: gr.Textbox(visible=False, value=""), room.refused: ""}

    def take_all(paths: list[str] | None, whole_folder: bool) -> Updates:
        """Import what was sent; a file that comes alone may ask for another name."""
        files = [Path(path) for path in paths or []]
        if len(files) == 1 and not whole_folder:
            return take(str(files[0]))
        try:
            summary = import_many(library, concepts_among(files))
        except PerfusionError as error:
            said = note(str(error), "problem")
        else:
            said = import_summary(summary)
        hidden = gr.Textbox(visible=False, value="")
        return {**page("", said), room.import_name: hidden, room.refused: ""}

    def again(name: str) -> Updates:
        try:
            return teach_again.teach_again(teach, rooms, studio, served, name)
        except PerfusionError as error:
            return {room.said: note(str(error), "problem")}

    # One at a time: an answer that comes late would put the panel back to the concept chosen before.
    in_turn: dict[str, Any] = {**QUIET, "concurrency_id": "library", "concurrency_limit": 1}
    everything: list[Any] = [room.grid, room.said, room.undo, *panel.outputs()]
    room.grid.click(choose, None, [room.said, *panel.outputs()], **in_turn, **EACH)
    panel.save.click(save, [panel.chosen, panel.name, panel.notes], everything, **in_turn)
    panel.duplicate.click(duplicate, panel.chosen, everything, **in_turn)
    panel.delete.click(delete, panel.chosen, [*everything, room.deleted], **in_turn)
    room.undo.click(undo, room.deleted, everything, **in_turn)
    asked = [*everything, room.import_name, room.refused]
    room.incoming.upload(lambda paths: take_all(paths, False), room.incoming, asked, **in_turn, **EACH)
    room.folder.upload(lambda paths: take_all(paths, True), room.folder, asked, **in_turn, **EACH)
    room.import_name.submit(take, [room.refused, room.import_name], asked, **in_turn)
    panel.use.click(
        lambda name: open_in_create.concept(create, rooms, name),
        panel.chosen,
        open_in_create.targets(create, rooms),
        **QUIET,
    )
    photos_too = [room.said, *teach_again.outputs(teach, rooms)]
    panel.teach_again.click(again, panel.chosen, photos_too, **photo_intake.IN_TURN)
    tab.select(lambda chosen: cards(library, served, chosen), panel.chosen, room.grid, **in_turn)
    demo.load(lambda: cards(library, served), None, room.grid, **in_turn)


def _exported(studio: Studio, served: Served, name: str, small: bool) -> Path:
    """A file to download, made once for each version of the concept. Raises `PerfusionError`."""
    entry = studio.library.get(name)
    precision = "float16" if small else "float32"
    folder = served.folder / "exports" / f"{entry.id}-{int(entry.modified * 1000)}-{precision}"
    target = folder / f"{entry.name}.safetensors"
    if not target.exists():
        make_folder(folder, private=True)
        studio.library.export(name, target, precision=precision, overwrite=True)
    return target


def _free_name(library: Library, path: Path) -> str:
    """A free name like the one inside a concept file; empty where it cannot be read any more."""
    try:
        return library.free_name(read_metadata(path).name)
    except PerfusionError:
        return ""
