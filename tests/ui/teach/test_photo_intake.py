"""Photos taken in on a disk that refuses them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import gradio as gr
import pytest

from perfusion_core.studio.app import Studio
from perfusion_core.studio.settings import Settings
from perfusion_core.studio.teaching.example_photos import example_sets
from perfusion_core.studio.teaching.staging import Staged, stage
from perfusion_core.ui.served import Served
from perfusion_core.ui.teach import photo_intake
from perfusion_core.ui.teach.room import TeachRoom, render
from tests.ui.listeners import listeners


class Page:
    """Teach on a studio that works on nothing, with one photo taken in."""

    def __init__(self, folder: Path) -> None:
        self.studio = Studio(Settings(home=folder / "home"))
        served = Served(folder / "served")
        with gr.Blocks() as self.demo:
            self.room: TeachRoom = render(self.studio, served)
            photo_intake.listen(self.room, self.studio, served)
        (self.photo,) = stage(self.studio.staging, [example_sets()[0].photos[0]])

    def click(self, component: Any, **data: Any) -> dict[Any, Any]:
        """A click that carries `data`, on a page with the photo."""
        values = {self.room.staged: [self.photo], self.room.kind: "dog", self.room.form.mask: "auto"}
        listener = listeners(self.demo, component, "click")[0]
        return listener.fn(*(values[one] for one in listener.inputs), gr.EventData(None, data))


@pytest.fixture
def page(tmp_path: Path) -> Page:
    return Page(tmp_path)


def test_example_photos_take_the_place_of_those_that_are_there(page: Page) -> None:
    after = page.click(page.room.examples, pick=example_sets()[1].name)
    assert [Path(one.source) for one in after[page.room.staged]] == list(example_sets()[1].photos)
    assert after[page.room.kind] == example_sets()[1].superclass


def test_example_photos_that_cannot_be_staged_are_told_and_the_others_stay(page: Page) -> None:
    _no_place(page)
    after = page.click(page.room.examples, pick=example_sets()[1].name)
    assert after[page.room.staged] == [page.photo]
    assert "cannot be made" in after[page.room.said]
    assert page.room.name not in after


def test_photos_that_cannot_be_mirrored_are_told_and_stay(page: Page) -> None:
    page.photo = Staged(page.photo.source, "a", page.photo.thumbnail, mask="/gone.png", away=True)
    after = page.click(page.room.photos, turn="1")
    assert after[page.room.staged] == [page.photo]
    assert "mask of" in after[page.room.said]


def _no_place(page: Page) -> None:
    """A file where the thumbnails belong: whoever runs this, no folder can be made there."""
    folder = page.studio.staging.folder / "thumbnails"
    for thumbnail in folder.iterdir():
        thumbnail.unlink()
    folder.rmdir()
    folder.write_bytes(b"")
