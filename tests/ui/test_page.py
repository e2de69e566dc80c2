"""The page as a whole: what its events may do."""

from __future__ import annotations

from pathlib import Path

import gradio as gr
import pytest
from gradio.renderable import Renderable

from perfusion_core.studio.app import Studio
from perfusion_core.studio.readiness import Readiness
from perfusion_core.studio.settings import Settings
from perfusion_core.ui.create import attribution_maps, images
from perfusion_core.ui.create import room as create
from perfusion_core.ui.page import build_page
from perfusion_core.ui.served import Served
from tests.ui.listeners import listeners


@pytest.fixture
def studio(tmp_path: Path) -> Studio:
    return Studio(Settings(home=tmp_path))


def test_every_event_is_private_so_that_none_can_be_called_by_name(studio: Studio, tmp_path: Path) -> None:
    demo = build_page(studio, Served(tmp_path / "served"), Readiness(studio))
    assert len(demo.fns) > 40
    open_ones = [one for one in demo.fns.values() if one.api_visibility != "private"]
    # gr.render cannot be private; here it draws sliders and changes nothing.
    assert {type(getattr(one.fn, "__self__", None)) for one in open_ones} <= {Renderable}


def test_only_create_itself_says_which_job_its_stop_button_stops(studio: Studio, tmp_path: Path) -> None:
    served = Served(tmp_path / "served")
    with gr.Blocks() as demo:
        room = create.render(studio, served)
        images.listen(room, studio, served)
        attribution_maps.listen(room.stage, studio, served)
    writers = [one for one in demo.fns.values() if room.job in one.outputs]
    assert writers == listeners(demo, room.go, "click")
    (stop,) = listeners(demo, room.stop, "click")
    assert stop.inputs == [room.job]
