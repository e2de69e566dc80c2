"""Teach: from uploaded photos to a concept, through a reload, a second tab, a kill and a restart."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from perfusion_core.studio.library import Library
from tests.ui.running_app import ROOT, RunningApp

pytestmark = pytest.mark.browser


@pytest.fixture
def own_app(taught_home: Path, tmp_path: Path):
    for statistics in (taught_home / "cache").glob("*.safetensors"):
        (tmp_path / "cache").mkdir(exist_ok=True)
        shutil.copy(statistics, tmp_path / "cache")
    running = RunningApp(tmp_path)
    running.start()
    yield running
    running.stop()


def test_photos_become_a_concept_through_a_reload_a_kill_and_a_restart(own_app: RunningApp, page) -> None:
    photos = sorted((ROOT / "assets" / "examples" / "poodle").glob("*.jpg"))[:3]
    own_app.open(page, "Teach")
    page.locator("#photos-in input[type=file]").set_input_files(photos)
    page.wait_for_selector("#photos figure >> nth=2")
    page.locator("#teach-name input, #teach-name textarea").first.fill("rex")
    page.locator("#teach-kind input").fill("dog")
    page.locator("#teach-kind input").press("Enter")
    page.locator("#teach .label-wrap").click()
    page.locator("#teach-steps input[type=number]").fill("10")
    page.locator("#teach-steps input[type=number]").press("Tab")
    page.click("#teach-go")
    page.wait_for_selector("#teaching .preview-row", timeout=120_000)
    assert page.is_visible("#teach-stop")

    page.reload()  # the page is drawn anew from the job's files
    page.wait_for_selector("#rooms")
    page.get_by_role("tab", name="Teach", exact=True).click()
    page.wait_for_selector("#teaching .preview-row")
    second = page.context.new_page()
    own_app.open(second, "Teach")
    second.wait_for_selector("#teaching .preview-row")
    assert "rex" in second.inner_text("#teaching")
    second.close()

    own_app.kill()
    own_app.start()
    own_app.open(page, "Teach")
    page.wait_for_selector(".teaching-interrupted")
    page.click("#teach-resume")
    page.wait_for_selector(".teaching-done", timeout=420_000)
    entry = Library(own_app.home).get("rex")
    assert entry.metadata.superclass == "dog"
    page.click("#teach-use")
    page.wait_for_selector("#dose-rex input[type=range]")


def test_a_photo_that_is_none_is_named_and_the_others_stay(app: RunningApp, page, tmp_path: Path) -> None:
    bad = tmp_path / "notes.png"
    bad.write_text("<svg onload=alert(1)>")
    good = sorted((ROOT / "assets" / "examples" / "black-cat").glob("*.jpg"))[0]
    app.open(page, "Teach")
    page.locator("#photos-in input[type=file]").set_input_files([bad, good])
    page.wait_for_selector("#teach-said .said-problem")
    assert "notes.png" in page.inner_text("#teach-said")
    assert page.locator("#photos figure").count() == 1
