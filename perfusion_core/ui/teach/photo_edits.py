"""One photo opened in the editor: another square of it, and its mask taken over."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import gradio as gr

from perfusion_core.errors import PerfusionError
from perfusion_core.studio.teaching.mask_editor import (
    Frame,
    Opened,
    Table,
    apply,
    open_photo,
    recut,
)
from perfusion_core.studio.teaching.staging import Look, Staged, with_masks
from perfusion_core.ui.html import escape, note
from perfusion_core.ui.teach.photo_editor import PhotoEditor
from perfusion_core.ui.teach.photo_strip import thumbnails

if TYPE_CHECKING:
    from perfusion_core.studio.app import Studio
    from perfusion_core.ui.served import Served
    from perfusion_core.ui.teach.room import TeachRoom


def table(editor: PhotoEditor) -> list[Any]:
    """The components that `opened` and `cleared` answer for, in their order."""
    frame = [editor.zoom, editor.across, editor.down]
    return [editor.opened, editor.panel, editor.head, editor.canvas, *frame, editor.said]


def cleared() -> list[Any]:
    """No photo on the table."""
    return [None, gr.Column(visible=False), "", None, gr.skip(), gr.skip(), gr.skip(), ""]


def opened(studio: Studio, staged: list[Staged], place: int, look: Look) -> list[Any]:
    """A photo put on the table; a refusal in words where it is no longer there."""
    if not 0 <= place < len(staged):
        return cleared()
    try:
        return _laid(open_photo(studio.staging, staged[place], place, look), staged[place].name)
    except PerfusionError as error:
        return [*cleared()[:-1], note(str(error), "problem")]


def listen(room: TeachRoom, studio: Studio, served: Served) -> None:
    editor = room.editor

    def cut(
        now: Opened | None,
        staged: list[Staged],
        value: Any,
        zoom: float,
        across: float,
        down: float,
        *seen: Any,
    ) -> list[Any]:
        """Another square: [the table]"""
        if now is None:
            return cleared()
        frame = Frame(zoom, across / 100, down / 100)
        try:
            return _laid(
                recut(studio.staging, now, _layer(value), frame, Look.of(*seen)), staged[now.place].name
            )
        except PerfusionError as error:
            return [*[gr.skip()] * 7, note(str(error), "problem")]

    def keep(now: Opened | None, staged: list[Staged], value: Any, *seen: Any) -> list[Any]:
        """Take what is on the table over: [staged, photos, the table]"""
        if now is None:
            return [gr.skip(), gr.skip(), *cleared()]
        try:
            one = apply(studio.staging, staged[now.place], now, _layer(value))
            return [*changed(staged, now.place, one, Look.of(*seen)), *cleared()]
        except PerfusionError as error:
            return [gr.skip(), gr.skip(), *[gr.skip()] * 7, note(str(error), "problem")]

    def found(now: Opened | None, staged: list[Staged], *seen: Any) -> list[Any]:
        """Back to the square and the mask that are found: [staged, photos, the table]"""
        if now is None:
            return [gr.skip(), gr.skip(), *cleared()]
        one = replace(staged[now.place], crop=None, mask="")
        try:
            staged, html = changed(staged, now.place, one, Look.of(*seen))
        except PerfusionError as error:
            return [gr.skip(), gr.skip(), *[gr.skip()] * 7, note(str(error), "problem")]
        return [staged, html, *opened(studio, staged, now.place, Look.of(*seen))]

    def changed(staged: list[Staged], place: int, one: Staged, look: Look) -> tuple[list[Staged], str]:
        (shown,), _ = with_masks(studio.staging, [one], look)
        after = [shown if k == place else other for k, other in enumerate(staged)]
        return after, thumbnails(after, served)

    quiet: dict[str, Any] = {"show_progress": "hidden", "api_visibility": "private"}
    once: dict[str, Any] = {
        "show_progress": "full",  # over the canvas, so that no stroke falls between two squares
        "show_progress_on": editor.canvas,
        "api_visibility": "private",
        "concurrency_id": "masks",
        "concurrency_limit": 1,
    }
    seen = [room.kind, room.settings[2]]
    frame = [editor.zoom, editor.across, editor.down]
    for slider in frame:
        slider.release(cut, [editor.opened, room.staged, editor.canvas, *frame, *seen], table(editor), **once)
    both = [room.staged, room.photos, *table(editor)]
    editor.apply.click(keep, [editor.opened, room.staged, editor.canvas, *seen], both, **once)
    editor.reset.click(found, [editor.opened, room.staged, *seen], both, **once)
    editor.close.click(cleared, None, table(editor), **quiet)


def _laid(laid: Table, name: str) -> list[Any]:
    head = (
        f'<p class="strong">{escape(name)}</p><p class="quiet">What is tinted is learned from. Paint what '
        "belongs to it, erase what does not.</p>"
    )
    canvas = {"background": laid.square, "layers": [laid.layer], "composite": None}
    left, top, right, bottom = laid.opened.crop
    width, height = laid.whole
    sliders = [
        round(laid.frame.zoom, 2),
        gr.Slider(value=round(100 * laid.frame.across), interactive=right - left < width),
        gr.Slider(value=round(100 * laid.frame.down), interactive=bottom - top < height),
    ]
    return [laid.opened, gr.Column(visible=True), head, canvas, *sliders, note(laid.remark)]


def _layer(value: Any) -> Any:
    """The painted layer of an image editor's value; None when there is none."""
    layers = (value or {}).get("layers") or []
    return layers[0] if layers else None
