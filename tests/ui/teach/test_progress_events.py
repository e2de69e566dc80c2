"""The buttons of a teaching act on the one that is shown."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import gradio as gr
import pytest

from perfusion_core.studio.app import Studio
from perfusion_core.studio.fronts.first_front import STAGE
from perfusion_core.studio.jobs.store import Job, JobStore
from perfusion_core.studio.settings import Settings
from perfusion_core.ui.create import room as create
from perfusion_core.ui.served import Served
from perfusion_core.ui.teach import progress_events, progress_panel
from perfusion_core.ui.teach.progress_panel import ProgressPanel
from tests.ui.listeners import listeners


class Page:
    """Teach's panel and Create on a studio that works on nothing, with teachings in its queue."""

    def __init__(self, home: Path) -> None:
        self.studio = Studio(Settings(home=home))
        self.served = Served(home / "served")
        with gr.Blocks() as self.demo, gr.Tabs() as rooms:
            with gr.Tab("Create"):
                create_room = create.render(self.studio, self.served)
            with gr.Tab("Teach"):
                self.panel: ProgressPanel = progress_panel.render(self.studio, self.served)
            progress_events.listen(self.panel, create_room, rooms, self.studio, self.served, self.demo)

    def teaching(self, name: str) -> Job:
        asked = {"name": name, "folder": str(self.studio.settings.home / name), "base": "pocket"}
        return JobStore(self.studio.settings.jobs_folder).new("teach", f"Teach <{name}>", asked)

    def shown(self) -> dict[Any, Any]:
        return progress_events.updates(self.panel, self.studio, self.served)

    def click(self, button: gr.Button) -> dict[Any, Any]:
        """A click on a page that shows what `shown` said last."""
        (listener,) = listeners(self.demo, button, "click")
        assert listener.inputs == [self.panel.job]
        return listener.fn(self.job)

    job = ""


@pytest.fixture
def page(tmp_path: Path) -> Page:
    return Page(tmp_path)


def test_stop_acts_on_the_teaching_shown_although_a_newer_one_was_asked_for(page: Page) -> None:
    first = page.teaching("rex")
    page.job = page.shown()[page.panel.job]
    assert page.job == first.id
    second = page.teaching("tom")
    after = page.click(page.panel.stop)
    assert page.studio.job(first.id).state == "stopped"
    assert page.studio.job(second.id).state == "queued"
    assert after[page.panel.job] == second.id  # from here on the newer one is shown, with its own buttons


def test_the_card_carries_the_job_its_buttons_act_on(page: Page) -> None:
    job = page.teaching("rex")
    shown = page.shown()
    assert f'data-job="{job.id}"' in shown[page.panel.card]
    assert shown[page.panel.job] == job.id
    assert shown[page.panel.stop].visible is True
    assert shown[page.panel.resume].visible is False


def test_resume_of_a_teaching_that_is_under_way_again_says_so_and_changes_nothing(page: Page) -> None:
    first = page.teaching("rex")
    page.job = first.id
    after = page.click(page.panel.resume)
    assert "can be resumed" in after[page.panel.result]
    assert page.studio.job(first.id) == first


def test_a_teaching_that_was_removed_is_named_by_every_button(page: Page) -> None:
    page.job = "gone"
    for button in (page.panel.stop, page.panel.resume, page.panel.save, page.panel.use):
        assert "no job" in page.click(button)[page.panel.result]


def test_without_a_teaching_the_card_explains_how_it_goes(page: Page) -> None:
    shown = page.shown()
    assert "How teaching goes" in shown[page.panel.card]
    assert shown[page.panel.job] == ""


def test_a_teaching_closed_while_its_front_was_drawn_says_what_resume_does(page: Page) -> None:
    store = JobStore(page.studio.settings.jobs_folder)
    job = store.save(page.teaching("rex").changed(state="interrupted"))
    store.append(job.id, {"kind": "step", "step": 4, "total": 4, "loss": 0.1, "seconds": 1.0})
    assert "Resume goes on from the last checkpoint" in page.shown()[page.panel.card]
    store.append(job.id, {"kind": "stage", "text": STAGE})
    assert "In the library. Resume draws its front" in page.shown()[page.panel.card]
