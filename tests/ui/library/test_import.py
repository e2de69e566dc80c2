"""A refused import: a free name is offered where the name is what stands in the way."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from perfusion_core.concept import save_concept
from perfusion_core.errors import PerfusionError
from perfusion_core.studio.app import Studio
from perfusion_core.studio.library.library import Library
from perfusion_core.studio.readiness import Readiness
from perfusion_core.studio.settings import Settings
from perfusion_core.ui.page import build_page
from perfusion_core.ui.served import Served
from tests.tiny_concept import random_concept
from tests.ui.listeners import listeners


class Page:
    """The page of a studio that works on nothing, and what its import answers."""

    def __init__(self, home: Path) -> None:
        self.studio = Studio(Settings(home=home))
        self.demo = build_page(self.studio, Served(home / "served"), Readiness(self.studio))
        self._blocks = {str(block.elem_id): block for block in self.demo.blocks.values() if block.elem_id}

    def take(self, path: Path) -> tuple[str, bool, str]:
        """The message, whether the field for a name is shown, and the name that stands in it."""
        (listener,) = listeners(self.demo, self._blocks["import"], "upload")
        answer = listener.fn([str(path)])
        field = answer[self._blocks["import-name"]]
        return str(answer[self._blocks["library-said"]]), bool(field.visible), str(field.value)


@pytest.fixture
def page(tmp_path: Path) -> Page:
    return Page(tmp_path / "home")


@pytest.mark.parametrize(("taken", "offered"), [("cop", "cop-2"), ("сор", "cop-2")])  # the second in Cyrillic
def test_a_name_that_is_taken_or_looks_like_a_taken_one_is_asked_for_anew(
    page: Page, tiny_base: Any, tmp_path: Path, taken: str, offered: str
) -> None:
    page.studio.library.add(random_concept(tiny_base, taken))
    save_concept(random_concept(tiny_base, "cop", seed=1), tmp_path / "gift.safetensors")
    said, asked, name = page.take(tmp_path / "gift.safetensors")
    assert "already" in said
    assert (asked, name) == (True, offered)


def test_a_disk_that_refuses_is_no_question_of_the_name(
    page: Page, tiny_base: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gift = tmp_path / "gift.safetensors"
    save_concept(random_concept(tiny_base, "mug"), gift)

    def full(library: Library, path: Path, **options: Any) -> None:
        imported(library, path, **options)  # the last sync fails: the concept is there
        raise PerfusionError("The disk is full.")

    imported = Library.import_file
    monkeypatch.setattr(Library, "import_file", full)
    said, asked, name = page.take(gift)
    assert "The disk is full." in said
    assert (asked, name) == (False, "")
