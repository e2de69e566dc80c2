"""Which events count although others are under way, and which wait for each other."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import gradio as gr
import pytest

from perfusion_core.studio.app import Studio
from perfusion_core.studio.readiness import Readiness
from perfusion_core.studio.settings import Settings
from perfusion_core.ui.page import build_page
from perfusion_core.ui.served import Served
from perfusion_core.ui.sidebar import machine_line
from tests.ui.listeners import listeners


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> gr.Blocks:
    home = tmp_path_factory.mktemp("home")
    studio = Studio(Settings(home=home))
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)  # a listener that does not take what Gradio gives it
        return build_page(studio, Served(home / "served"), Readiness(studio))


def the(demo: gr.Blocks, elem_id: str) -> Any:
    (found,) = [one for one in demo.blocks.values() if getattr(one, "elem_id", None) == elem_id]
    return found


@pytest.mark.parametrize(
    ("elem_id", "event"),
    [
        ("recent", "select"),
        ("gallery", "select"),
        ("chips", "click"),
        ("words", "click"),
        ("doubt", "click"),
        ("library-cards", "click"),
        ("board", "click"),
        ("queue", "click"),
        ("examples", "click"),
        ("photos", "click"),
        ("photos-in", "upload"),
        ("import", "upload"),
        ("import-folder", "upload"),
        ("info-in", "upload"),
        ("base", "input"),
    ],
)
def test_what_is_chosen_while_an_earlier_choice_is_under_way_counts(
    demo: gr.Blocks, elem_id: str, event: str
) -> None:
    (listener,) = listeners(demo, the(demo, elem_id), event)
    assert listener.trigger_mode == "multiple"


@pytest.mark.parametrize("elem_id", ["explore-name", "explore-against", "teach-mask", "teach-kind"])
def test_a_field_is_read_as_it_was_left(demo: gr.Blocks, elem_id: str) -> None:
    (listener,) = listeners(demo, the(demo, elem_id), "input")
    assert listener.trigger_mode == "always_last"


@pytest.mark.parametrize(
    ("elem_id", "event"), [("photos-in", "upload"), ("library-cards", "click"), ("chips", "click")]
)
def test_those_that_write_the_same_take_turns(demo: gr.Blocks, elem_id: str, event: str) -> None:
    """The photos of a teaching, the concept chosen in the library, what clicks wrote into the prompt."""
    (listener,) = listeners(demo, the(demo, elem_id), event)
    state = next(one for one in listener.outputs if isinstance(one, gr.State))
    writers = [one for one in demo.fns.values() if state in one.outputs]
    assert len(writers) > 5
    turns = {(one.concurrency_id, one.concurrency_limit, one.queue) for one in writers}
    assert turns == {(listener.concurrency_id, 1, True)}


def test_the_line_on_the_machine_changes_with_the_base_also_when_both_are_ready(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its change is what tells the rooms of another base."""
    studio = Studio(Settings(home=tmp_path))
    monkeypatch.setattr(studio.bases, "holds", lambda _reference: True)
    before = machine_line(studio, Readiness(studio))
    studio.use_base("another")
    assert "Ready" in before
    assert machine_line(studio, Readiness(studio)) != before
