"""One photo opened in the editor: another square of it, and its mask taken over."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import gradio as gr

from perfusion_core.errors import PerfusionError
from perfusion_core.studio.teaching.mask_editor import Frame, Opened, Table, apply, open_photo, recut
from perfusion_core.studio.teaching.staging import Look, Staged, mirrored, with_masks
from perfusion_core.ui.event_options import QUIET, Updates
from perfusion_core.ui.html import escape, note
from perfusion_core.ui.teach.photo_editor import PhotoEditor
from perfusion_core.ui.teach.photo_strip import thumbnails

if TYPE_CHECKING:
    from perfusion_core.studio.app import Studio
    from perfusion_core.ui.served import Served
    from perfusion_core.ui.teach.room import TeachRoom


def outputs(editor: PhotoEditor) -> list[Any]:
    """The components that `opened` and `closed` answer for."""
    sliders = [editor.zoom, editor.across, editor.down]
    return [editor.opened, editor.panel, editor.head, editor.canvas, *sliders, editor.said]


def closed(editor: PhotoEditor) -> Updates:
    """The editor without a photo, hidden."""
    return {
        editor.opened: None,
        editor.panel: gr.Column(visible=False),
        editor.head: "",
        editor.canvas: None,
        editor.said: "",
    }


def opened(editor: PhotoEditor, studio: Studio, staged: list[Staged], place: int, look: Look) -> Updates:
    """The editor with photo number `place`; closed when that is no longer there."""
    if not 0 <= place < len(staged):
        return closed(editor)
    try:
        return _filled(editor, open_photo(studio.staging, staged[place], place, look), staged[place].name)
    except PerfusionError as error:
        return {**closed(editor), editor.said: note(str(error), "problem")}


def listen(room: TeachRoom, studio: Studio, served: Served) -> None:
    editor = room.editor
    sliders = [editor.zoom, editor.across, editor.down]

    def cut(values: Mapping[Any, Any]) -> Updates:
        """Another square of the photo, with what was painted so far."""
        now: Opened | None = values[editor.opened]
        if now is None:
            return closed(editor)
        frame = Frame(values[editor.zoom], values[editor.across] / 100, values[editor.down] / 100)
        try:
            table = recut(studio.staging, now, _layer(values[editor.canvas]), frame, look(values))
        except PerfusionError as error:
            return {editor.said: note(str(error), "problem")}
        return _filled(editor, table, values[room.staged][now.place].name)

    def keep(values: Mapping[Any, Any]) -> Updates:
        """Take the square and the painted mask over."""
        now: Opened | None = values[editor.opened]
        if now is None:
            return closed(editor)
        staged = values[room.staged]
        try:
            one = apply(studio.staging, staged[now.place], now, _layer(values[editor.canvas]))
            return {**changed(staged, now.place, one, look(values)), **closed(editor)}
        except PerfusionError as error:
            return {editor.said: note(str(error), "problem")}

    def reset(values: Mapping[Any, Any]) -> Updates:
        """Reset to the square and the mask that are found automatically."""
        now: Opened | None = values[editor.opened]
        if now is None:
            return closed(editor)
        one = replace(values[room.staged][now.place], crop=None, mask="")
        try:
            after = changed(values[room.staged], now.place, one, look(values))
        except PerfusionError as error:
            return {editor.said: note(str(error), "problem")}
        return {**after, **opened(editor, studio, after[room.staged], now.place, look(values))}

    def mirror(values: Mapping[Any, Any]) -> Updates:
        """Take square and mask over, turn the photo left to right, and stay in the editor."""
        now: Opened | None = values[editor.opened]
        if now is None:
            return closed(editor)
        staged = values[room.staged]
        try:
            one = apply(studio.staging, staged[now.place], now, _layer(values[editor.canvas]))
            after = changed(staged, now.place, mirrored(studio.staging, one), look(values))
        except PerfusionError as error:
            return {editor.said: note(str(error), "problem")}
        return {**after, **opened(editor, studio, after[room.staged], now.place, look(values))}

    def changed(staged: list[Staged], place: int, one: Staged, look: Look) -> Updates:
        (shown,), _ = with_masks(studio.staging, [one], look)
        after = [shown if k == place else other for k, other in enumerate(staged)]
        return {room.staged: after, room.photos: thumbnails(after, served)}

    def look(values: Mapping[Any, Any]) -> Look:
        return Look.of(values[room.kind], values[room.form.mask])

    once: dict[str, Any] = {
        **QUIET,
        "show_progress": "full",  # over the canvas, so that no stroke falls between two squares
        "show_progress_on": editor.canvas,
        "concurrency_id": "masks",
        "concurrency_limit": 1,
    }
    seen = {editor.opened, room.staged, editor.canvas, room.kind, room.form.mask}
    for slider in sliders:
        slider.release(cut, {*seen, *sliders}, outputs(editor), **once)
    both = [room.staged, room.photos, *outputs(editor)]
    editor.apply.click(keep, seen, both, **once)
    editor.mirror.click(mirror, seen, both, **once)
    editor.reset.click(reset, seen, both, **once)
    # In turn as well: the answer to a slider that was moved before would open the editor again.
    in_turn = {**once, **QUIET}
    editor.close.click(lambda: closed(editor), None, outputs(editor), **in_turn)


def _filled(editor: PhotoEditor, table: Table, name: str) -> Updates:
    head = (
        f'<p class="strong">{escape(name)}</p><p class="quiet">What is tinted is learned from. Paint what '
        "belongs to it, erase what does not.</p>"
    )
    left, top, right, bottom = table.opened.crop
    width, height = table.whole
    across = gr.Slider(value=round(100 * table.frame.across), interactive=right - left < width)
    down = gr.Slider(value=round(100 * table.frame.down), interactive=bottom - top < height)
    return {
        editor.opened: table.opened,
        editor.panel: gr.Column(visible=True),
        editor.head: head,
        editor.canvas: {"background": table.square, "layers": [table.layer], "composite": None},
        editor.zoom: round(table.frame.zoom, 2),
        editor.across: across,
        editor.down: down,
        editor.said: note(table.remark),
    }


def _layer(value: Any) -> Any:
    """The painted layer of an image editor's value; None when there is none."""
    layers = (value or {}).get("layers") or []
    return layers[0] if layers else None
