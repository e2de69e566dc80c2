"""Library: names, the trash, and files from strangers."""

from __future__ import annotations

import json
import struct
from pathlib import Path

import pytest

from perfusion_core.studio.library import Library
from tests.ui.running_app import RunningApp

pytestmark = pytest.mark.browser


def test_a_stranger_s_file_is_taken_when_it_is_sound_and_refused_when_it_is_not(
    app: RunningApp, page, tmp_path: Path
) -> None:
    good = Library(app.home).export("mug", tmp_path / "mug.safetensors")
    header = json.dumps({"__metadata__": {"perfusion": "<img src=x onerror=alert(1)>"}}).encode()
    bad = tmp_path / "bad.safetensors"
    bad.write_bytes(struct.pack("<Q", len(header)) + header)
    app.open(page, "Library")
    page.locator("#import").locator("xpath=..").locator("input[type=file]").set_input_files(bad)
    page.wait_for_selector("#library-said .said-problem")
    assert "bad.safetensors" in page.inner_text("#library-said")
    assert page.locator("#library-said img").count() == 0
    assert page.locator("#library-cards .concept").count() == 2

    page.locator("#import").locator("xpath=..").locator("input[type=file]").set_input_files(good)
    page.wait_for_selector("#import-name input, #import-name textarea")  # the name is taken: it asks
    page.locator("#import-name input, #import-name textarea").first.press("Enter")
    page.wait_for_selector("#library-cards [data-name=mug-2]")
    Library(app.home).delete("mug-2")


def test_a_deleted_concept_comes_back_with_undo(app: RunningApp, page) -> None:
    app.open(page, "Library")
    page.click("#library-cards [data-name=mug]")
    page.click("#delete-concept")
    page.wait_for_selector("#library-cards [data-name=mug]", state="detached")
    assert Library(app.home).find("mug") is None
    page.click("#undo")
    page.wait_for_selector("#library-cards [data-name=mug]")
    assert Library(app.home).find("mug") is not None


def test_a_concept_is_renamed_with_its_notes(app: RunningApp, page) -> None:
    app.open(page, "Library")
    page.click("#library-cards [data-name=mug]")
    page.locator("#concept-name input, #concept-name textarea").first.fill("cup-of-mine")
    page.locator("#concept-notes textarea").fill("the blue one")
    page.click("#save-concept")
    page.wait_for_selector("#library-cards [data-name=cup-of-mine]")
    assert Library(app.home).get("cup-of-mine").metadata.notes == "the blue one"
    Library(app.home).rename("cup-of-mine", "mug")
