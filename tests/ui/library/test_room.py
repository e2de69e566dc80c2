"""Library: names, copies, the trash, and files from strangers."""

from __future__ import annotations

import base64
import json
import struct
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from perfusion_core.concept import save_concept
from perfusion_core.studio.library.library import Library
from tests.ui.running_app import RunningApp

if TYPE_CHECKING:
    from playwright.sync_api import Page

pytestmark = pytest.mark.browser


def test_a_dropped_file_is_taken_when_it_is_sound_and_refused_when_it_is_not(
    app: RunningApp, page, tmp_path: Path
) -> None:
    good = Library(app.home).export("mug", tmp_path / "mug.safetensors")
    header = json.dumps({"__metadata__": {"perfusion": "<img src=x onerror=alert(1)>"}}).encode()
    bad = tmp_path / "bad.safetensors"
    bad.write_bytes(struct.pack("<Q", len(header)) + header)
    app.open(page, "Library")
    _drop(page, bad)
    page.wait_for_selector("#library-said .said-problem")
    assert "bad.safetensors" in page.inner_text("#library-said")
    assert page.locator("#library-said img").count() == 0
    assert page.locator("#library-cards .concept").count() == 2

    _drop(page, good)
    page.wait_for_selector("#import-name input, #import-name textarea")  # the name is taken: it asks
    page.locator("#import-name input, #import-name textarea").first.press("Enter")
    page.wait_for_selector("#library-cards [data-name=mug-2]")
    Library(app.home).delete("mug-2")


def test_a_file_chosen_with_the_button_is_imported_too(app: RunningApp, page, tmp_path: Path) -> None:
    file = tmp_path / "guest.safetensors"
    library = Library(app.home)
    library.duplicate("mug", "guest")
    library.export("guest", file)
    library.delete("guest")
    app.open(page, "Library")
    page.get_by_test_id("Import concepts-upload-button").set_input_files(file)
    page.wait_for_selector("#library-cards [data-name=guest]")
    library.delete("guest")


def test_a_folder_is_imported_in_one_go_with_a_word_for_every_file_that_needs_one(
    app: RunningApp, page, tmp_path: Path
) -> None:
    from playwright.sync_api import expect

    library = Library(app.home)
    folder = tmp_path / "results"
    (folder / "images").mkdir(parents=True)
    concept = library.load("mug")
    for number, name in enumerate(("aa", "mug")):
        made = concept.with_metadata(name=name, superclass=f"thing {number}")  # not the one that is here
        save_concept(made, folder / f"{name}.safetensors")
    library.export("biscuit", folder / "known.safetensors")
    (folder / "<b>bad.safetensors").write_bytes(b"PK")
    (folder / "images" / "front.webp").write_bytes(b"no concept")
    app.open(page, "Library")
    page.get_by_test_id("Import a folder-upload-button").set_input_files(folder)
    page.wait_for_selector("#library-said .import-summary")
    said = page.inner_text("#library-said")
    assert "2 concepts imported, 1 here already, 1 refused." in said
    assert "<mug-2> here: there was a <mug> already" in said
    assert "is here already as <biscuit>" in said
    assert "bad.safetensors” was refused" in said
    assert page.locator("#library-said b").count() == 0
    expect(page.locator("#library-cards .concept")).to_have_count(4)
    for name in ("aa", "mug-2"):
        library.delete(name)


def test_several_dropped_files_are_imported_together(app: RunningApp, page, tmp_path: Path) -> None:
    from playwright.sync_api import expect

    library = Library(app.home)
    files = []
    for name in ("one", "two"):
        files.append(tmp_path / f"{name}.safetensors")
        save_concept(library.load("mug").with_metadata(name=name, superclass=name), files[-1])
    app.open(page, "Library")
    _drop(page, *files)
    page.wait_for_selector("#library-cards [data-name=two]")
    expect(page.locator("#library-said")).to_contain_text("2 concepts imported.")
    assert page.locator("#import-name input, #import-name textarea").count() == 0
    for name in ("one", "two"):
        library.delete(name)


def test_an_exported_file_is_the_library_s_own_byte_for_byte(app: RunningApp, page) -> None:
    from playwright.sync_api import expect

    app.open(page, "Library")
    page.click("#library-cards [data-name=mug]")
    expect(page.locator("#concept-name").get_by_role("textbox")).to_have_value("mug")
    with page.expect_download() as download:
        page.click("#export")
    assert download.value.suggested_filename == "mug.safetensors"
    assert Path(download.value.path()).read_bytes() == Library(app.home).get("mug").file.read_bytes()


def test_a_duplicate_has_the_same_content_under_a_free_name(app: RunningApp, page) -> None:
    library = Library(app.home)
    app.open(page, "Library")
    page.click("#library-cards [data-name=mug]")
    page.click("#duplicate")
    page.wait_for_selector("#library-cards [data-name=mug-2]")
    assert library.load("mug-2").content_hash == library.load("mug").content_hash
    library.delete("mug-2")


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
    from playwright.sync_api import expect

    app.open(page, "Library")
    page.click("#library-cards [data-name=mug]")
    name = page.locator("#concept-name input, #concept-name textarea").first
    expect(name).to_have_value("mug")
    name.fill("cup-of-mine")
    page.locator("#concept-notes textarea").fill("the blue one")
    page.click("#save-concept")
    page.wait_for_selector("#library-cards [data-name=cup-of-mine]")
    assert Library(app.home).get("cup-of-mine").metadata.notes == "the blue one"
    Library(app.home).rename("cup-of-mine", "mug")


def test_teaching_again_without_the_photos_brings_the_words_and_says_what_is_missing(
    app: RunningApp, page
) -> None:
    from playwright.sync_api import expect

    app.open(page, "Library")
    page.click("#library-cards [data-name=mug]")
    page.click("#teach-again")
    expect(page.locator("#teach-name input, #teach-name textarea").first).to_have_value("mug-2")
    expect(page.locator("#teach-kind input")).to_have_value("cup")
    expect(page.locator("#teach-said")).to_contain_text("came without its photos")


def _drop(page: Page, *files: Path) -> None:
    """Let files fall on the cards, as from a folder's window."""
    script = """(files) => {
        const held = new DataTransfer();
        for (const [name, data] of files) {
            const bytes = Uint8Array.from(atob(data), (letter) => letter.charCodeAt(0));
            held.items.add(new File([bytes], name));
        }
        const about = {bubbles: true, cancelable: true, dataTransfer: held};
        const cards = document.querySelector('#library-cards');
        for (const kind of ['dragover', 'drop']) cards.dispatchEvent(new DragEvent(kind, about));
    }"""
    page.evaluate(script, [[file.name, base64.b64encode(file.read_bytes()).decode()] for file in files])
