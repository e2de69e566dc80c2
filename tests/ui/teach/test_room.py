"""Teach: from uploaded photos to a concept, through a painted mask, a stop, a closing and a kill."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from PIL import Image, ImageOps

from perfusion_core.studio.library.library import Library
from perfusion_core.studio.teaching.run_folder import RunFolder
from tests.ui.running_app import ROOT, RunningApp, drag, enter, reopen, set_number

if TYPE_CHECKING:
    from playwright.sync_api import Page

pytestmark = pytest.mark.browser

POODLES = sorted((ROOT / "assets" / "examples" / "poodle").glob("*.jpg"))[:3]


@pytest.fixture
def own_app(taught_home: Path, tmp_path: Path):
    for statistics in (taught_home / "cache").glob("*.safetensors"):
        (tmp_path / "cache").mkdir(exist_ok=True)
        shutil.copy(statistics, tmp_path / "cache")
    with RunningApp(tmp_path) as running:
        yield running


def test_photos_become_a_concept_through_a_stop_a_closing_and_a_kill(own_app: RunningApp, page) -> None:
    from playwright.sync_api import expect

    own_app.open(page, "Teach")
    _ask(page)
    _paint_the_upper_left(page, 1)
    page.click("#teach-go")
    page.wait_for_selector("#teaching .preview-row", timeout=240_000)
    run = RunFolder(next((own_app.home / "library").glob("*/run")).parent)  # bundled concepts have none
    _learns_from_what_was_painted(run)

    page.click("#teach-save")
    page.wait_for_selector("#teach-result .said-good")
    so_far = Library(own_app.home).get("rex-so-far")
    assert so_far.metadata.superclass == "dog"
    assert so_far.thumbnail is not None

    page.click("#teach-stop")
    page.wait_for_selector(".teaching-stopped", timeout=120_000)
    page.click("#teach-resume")
    page.wait_for_selector(".teaching-running")
    reopen(page, "Teach")  # the page is drawn anew from the job's files
    page.wait_for_selector("#teaching .preview-row")
    second = page.context.new_page()
    own_app.open(second, "Teach")
    second.wait_for_selector("#teaching .preview-row")
    assert "rex" in second.inner_text("#teaching")
    second.close()

    assert own_app.stop()  # by itself, though a teaching is under way
    _resume_after_a_restart(own_app, page)
    own_app.kill()
    _resume_after_a_restart(own_app, page)
    page.wait_for_selector(".teaching-done", timeout=480_000)

    rows = page.locator("#teaching .preview-row > span").all_inner_texts()
    assert (rows[0], rows[-1]) == ("0", "20")
    assert page.locator("#teaching .preview-row").first.locator("img").count() == 8
    assert page.locator("#teaching .trend .smooth").count() == 1
    assert page.locator("#teaching .taught-front img").count() == 7
    entry = Library(own_app.home).get("rex")
    assert entry.metadata.recipe["flip"] is False
    assert entry.metadata.recipe["mask"] == "given"

    enter(page, "Library")
    page.click("#library-cards [data-name=rex]")
    page.click("#teach-again")
    page.wait_for_function(
        "document.querySelector('#teach-name input, #teach-name textarea').value === 'rex-2'"
    )
    expect(page.locator("#photos figure")).to_have_count(3)
    expect(page.locator("#photos .mark")).to_have_text(["your mask"])
    page.click("#teach-use")
    page.wait_for_selector("#dose-rex input[type=range]")


def test_a_photo_is_cropped_anew_taken_back_and_left_out(app: RunningApp, page, tmp_path: Path) -> None:
    from playwright.sync_api import expect

    wide = Image.new("RGB", (400, 200), "seagreen")
    wide.paste("white", (40, 40, 120, 120))
    wide.save(tmp_path / "wide.png")
    app.open(page, "Teach")
    page.locator("#photos-in input[type=file]").set_input_files(tmp_path / "wide.png")
    page.click("#photos [data-open='0']")
    expect(page.locator("#crop-across input[type=range]")).to_be_enabled()
    expect(page.locator("#crop-down input[type=range]")).to_be_disabled()  # it is as high as it can be
    drag(page, "#crop-zoom input[type=range]", 0.5)
    expect(page.locator("#crop-down input[type=range]")).to_be_enabled()
    page.click("#photo-apply")
    expect(page.locator("#photos .mark")).to_have_text("your crop")

    page.click("#photos [data-open='0']")
    expect(page.locator("#crop-down input[type=range]")).to_be_enabled()
    page.click("#photo-reset")
    expect(page.locator("#photos .mark")).to_have_count(0)
    expect(page.locator("#crop-down input[type=range]")).to_be_disabled()
    page.click("#photos [data-pick='0']")
    expect(page.locator("#photos figure")).to_have_count(0)
    expect(page.locator("#photo-editor")).to_be_hidden()


def test_a_photo_that_is_none_is_named_and_the_others_stay(app: RunningApp, page, tmp_path: Path) -> None:
    from playwright.sync_api import expect

    bad = tmp_path / "notes.png"
    bad.write_text("<svg onload=alert(1)>")
    good = sorted((ROOT / "assets" / "examples" / "black-cat").glob("*.jpg"))[0]
    app.open(page, "Teach")
    page.locator("#photos-in input[type=file]").set_input_files([bad, good])
    expect(page.locator("#teach-said .said-problem")).to_contain_text("notes.png")
    expect(page.locator("#photos figure")).to_have_count(1)


def test_after_a_refused_photo_the_drop_zone_takes_the_next_one(
    app: RunningApp, page, tmp_path: Path
) -> None:
    from playwright.sync_api import TimeoutError as Timeout
    from playwright.sync_api import expect

    bad = tmp_path / "torn.png"
    bad.write_bytes(b"not an image at all")
    cats = sorted((ROOT / "assets" / "examples" / "black-cat").glob("*.jpg"))
    app.open(page, "Teach")
    drop_zone = page.locator("#photos-in input[type=file]")
    drop_zone.evaluate("field => { field.dataset.used = 'yes' }")
    drop_zone.set_input_files(bad)
    expect(page.locator("#teach-said .said-problem")).to_contain_text("torn.png")
    # The field is replaced, once or twice, a moment after the words; what the old one is given goes with it,
    # as a person would see, who drops the photo again.
    expect(page.locator("#photos-in input[type=file]:not([data-used])")).to_have_count(1)
    for _ in range(6):
        drop_zone.set_input_files(cats[0])
        try:
            page.wait_for_selector("#photos figure", timeout=10_000)
            break
        except Timeout:
            continue
    expect(page.locator("#photos figure")).to_have_count(1)
    expect(page.locator("#teach-said .said-problem")).to_have_count(0)
    other = tmp_path / "words.txt"  # of a kind that the field itself refuses
    other.write_text("a dog")
    page.locator("#photos-in input[type=file]").set_input_files(other)
    page.wait_for_timeout(1000)
    page.locator("#photos-in input[type=file]").set_input_files(cats[1])
    expect(page.locator("#photos figure")).to_have_count(2)


def test_photos_that_face_the_other_way_are_mirrored(app: RunningApp, page, tmp_path: Path) -> None:
    from playwright.sync_api import expect

    birds = sorted((ROOT / "assets" / "examples" / "parrot").glob("*.jpg"))
    other = tmp_path / "other.png"
    with Image.open(birds[2]) as image:
        ImageOps.mirror(image).save(other)
    app.open(page, "Teach")
    page.locator("#photos-in input[type=file]").set_input_files([birds[0], birds[4], other])
    page.wait_for_selector("#photos figure >> nth=2")
    page.locator("#teach-kind input").fill("bird")
    page.locator("#teach-kind input").press("Enter")
    expect(page.locator("#photos .mark")).to_have_text(["faces away"])
    page.click("#photos [data-turn]")
    expect(page.locator("#photos [data-turn]")).to_have_count(0)
    expect(page.locator("#photos figure")).to_have_count(3)
    page.locator("#teach .label-wrap").click()
    expect(page.locator("#teach-flip input[value=one-sided]")).to_be_checked()

    page.click("#photos [data-open='0']")
    page.click("#photo-mirror")
    expect(page.locator("#crop-across input[type=range]")).to_be_visible()
    page.click("#photo-close")
    page.locator("#teach-kind input").press("Enter")
    expect(page.locator("#photos figure")).to_have_count(3)


def _ask(page: Page) -> None:
    """Photos, words and settings of a short teaching."""
    page.locator("#photos-in input[type=file]").set_input_files(POODLES)
    page.wait_for_selector("#photos figure >> nth=2")
    page.locator("#teach-name input, #teach-name textarea").first.fill("rex")
    page.locator("#teach-kind input").fill("dog")
    page.locator("#teach-kind input").press("Enter")
    page.wait_for_selector("#kind-check .known")
    page.locator("#teach .label-wrap").click()
    set_number(page, "#teach-steps", 20)
    page.locator("#teach-flip input[value=one-sided]").check()


def _paint_the_upper_left(page: Page, place: int) -> None:
    """A stroke over the sky of a photo, with the brush as it comes."""
    page.click(f"#photos [data-open='{place}']")
    canvas = page.locator("#mask-editor canvas").first
    canvas.wait_for()
    canvas.scroll_into_view_if_needed()
    undo = page.locator("#mask-editor button[aria-label=Undo]:not([disabled])")
    for _ in range(20):  # the canvas takes strokes a moment after it is there
        box = canvas.bounding_box()
        assert box is not None
        x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
        page.mouse.move(x - 110, y - 110)
        page.mouse.down()
        page.mouse.move(x - 40, y - 110, steps=8)
        page.mouse.up()
        page.wait_for_timeout(1000)
        if undo.count():
            break
    page.click("#photo-apply")
    page.wait_for_selector("#photos figure .mark:text('your mask')")


def _learns_from_what_was_painted(run: RunFolder) -> None:
    photos = run.teaching().photos
    assert [facts.painted for facts in photos] == [False, True, False]
    assert json.loads((run.run / "recipe.json").read_text())["mask"] == "given"
    corners = [mask[: len(mask) // 4, : len(mask) // 2] for mask in run.squares()[1]]  # above the poodles
    assert float(corners[1].max()) == 1.0
    assert np.mean(corners[1] > 0.9) > 0.05
    assert np.mean(corners[0] > 0.9) < 0.01


def _resume_after_a_restart(app: RunningApp, page: Page) -> None:
    app.start()
    app.open(page, "Teach")
    page.wait_for_selector(".teaching-interrupted")
    page.click("#teach-resume")
    page.wait_for_selector(".teaching-running")
