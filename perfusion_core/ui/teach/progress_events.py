"""The buttons of a teaching, and its card kept up to date."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import gradio as gr

from perfusion_core.errors import PerfusionError
from perfusion_core.studio.teaching.save_now import save_now
from perfusion_core.ui import open_in_create
from perfusion_core.ui.event_options import AT_ONCE, Updates
from perfusion_core.ui.html import note
from perfusion_core.ui.teach.progress_card import latest_card

if TYPE_CHECKING:
    from perfusion_core.studio.app import Studio
    from perfusion_core.ui.create.room import CreateRoom
    from perfusion_core.ui.served import Served
    from perfusion_core.ui.teach.progress_panel import ProgressPanel


def listen(
    panel: ProgressPanel, create: CreateRoom, rooms: gr.Tabs, studio: Studio, served: Served, demo: gr.Blocks
) -> None:
    """The buttons act on the teaching that the card shows, not on a newer one from another tab."""

    def look(shown: str) -> Any:
        now = updates(panel, studio, served)
        return gr.skip() if now[panel.card] == shown else now

    def act(what: str, job_id: str) -> Updates:
        said = ""
        try:
            if what == "stop":
                studio.stop(job_id)
            elif what == "resume":
                studio.resume(job_id)
            else:
                entry = save_now(studio.library, studio.job(job_id))
                said = note(f"What was learned so far is in the library as <{entry.name}>.", "good")
        except PerfusionError as error:
            said = note(str(error), "problem")
        return {**updates(panel, studio, served), panel.result: said}

    def use(job_id: str) -> Any:
        try:
            name = str(studio.job(job_id).result.get("concept", ""))
        except PerfusionError as error:
            return {panel.result: note(str(error), "problem")}
        return open_in_create.concept(create, rooms, name) if name else gr.skip()

    for event in (demo.load, panel.timer.tick):
        event(look, panel.shown, outputs(panel), **AT_ONCE)
    for button, what in ((panel.stop, "stop"), (panel.resume, "resume"), (panel.save, "save")):
        button.click(
            lambda job_id, what=what: act(what, job_id),
            panel.job,
            [*outputs(panel), panel.result],
            **AT_ONCE,
        )
    panel.use.click(use, panel.job, [panel.result, *open_in_create.targets(create, rooms)], **AT_ONCE)


def outputs(panel: ProgressPanel) -> list[Any]:
    """The components that `updates` answers for."""
    return [panel.card, panel.stop, panel.resume, panel.save, panel.use, panel.job, panel.shown]


def updates(panel: ProgressPanel, studio: Studio, served: Served) -> Updates:
    """The latest teaching's card. Which buttons there are follows from the job's state alone."""
    card = latest_card(studio, served)
    return {
        panel.card: card.html,
        panel.stop: gr.Button(visible=card.state in ("queued", "running")),
        panel.resume: gr.Button(visible=card.state in ("stopped", "interrupted", "failed")),
        panel.save: gr.Button(
            visible=card.scored and card.state in ("running", "stopped", "interrupted", "failed")
        ),
        panel.use: gr.Button(visible=card.state == "done"),
        panel.job: card.job_id,
        panel.shown: card.html,
    }
