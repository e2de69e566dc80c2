"""The buttons of a teaching, and its card kept up to date."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import gradio as gr

from perfusion_core.errors import PerfusionError
from perfusion_core.studio.teaching.progress import latest_teaching, teach_progress
from perfusion_core.studio.teaching.save_now import save_now
from perfusion_core.ui import open_in_create
from perfusion_core.ui.html import note
from perfusion_core.ui.teach.progress_card import card

if TYPE_CHECKING:
    from perfusion_core.studio.app import Studio
    from perfusion_core.ui.create.room import CreateRoom
    from perfusion_core.ui.served import Served
    from perfusion_core.ui.teach.room import TeachRoom


def listen(
    room: TeachRoom, create: CreateRoom, rooms: gr.Tabs, studio: Studio, served: Served, demo: gr.Blocks
) -> None:
    def look(shown: str) -> list[Any]:
        html = card(studio, served)
        return [gr.skip()] * 6 if html == shown else [html, *buttons(studio), html]

    def act(what: str) -> list[Any]:
        job = latest_teaching(studio.store)
        said = ""
        try:
            if job is not None and what == "stop":
                studio.stop(job.id)
            elif job is not None and what == "resume":
                studio.resume(job.id)
            elif job is not None:
                entry = save_now(studio.library, job)
                said = note(f"What was learned so far is in the library as <{entry.name}>.", "good")
        except PerfusionError as error:
            said = note(str(error), "problem")
        html = card(studio, served)
        return [html, *buttons(studio), html, said]

    quiet: dict[str, Any] = {"show_progress": "hidden", "queue": False, "api_visibility": "private"}
    seen = [room.card, room.stop, room.resume, room.save, room.use, room.shown]
    for event in (demo.load, room.timer.tick):
        event(look, room.shown, seen, **quiet)
    for button, what in ((room.stop, "stop"), (room.resume, "resume"), (room.save, "save")):
        button.click(lambda what=what: act(what), None, [*seen, room.result], **quiet)

    def use() -> list[Any]:
        job = latest_teaching(studio.store)
        name = str(job.result.get("concept", "")) if job is not None else ""
        return open_in_create.concept(create, name) if name else open_in_create.untouched(create)

    room.use.click(use, None, open_in_create.targets(create, rooms), **quiet)


def buttons(studio: Studio) -> list[Any]:
    """Stop, Resume, Save now, Use: which of them there are follows from the job's state alone."""
    job = latest_teaching(studio.store)
    state = job.state if job is not None else ""
    begun = job is not None and teach_progress(studio.store, job).scores != []
    return [
        gr.Button(visible=state in ("queued", "running")),
        gr.Button(visible=state in ("stopped", "interrupted", "failed")),
        gr.Button(visible=state in ("running", "stopped", "interrupted", "failed") and begun),
        gr.Button(visible=state == "done"),
    ]
