"""Create: a prompt, its sliders, and the image under them."""

from __future__ import annotations

import re
import time
from pathlib import Path
from urllib.parse import unquote, urljoin

import pytest

from perfusion_core.sampling.png import ImageRecipe, read_recipe
from tests.ui.running_app import RunningApp, changed, created, enter, image, set_number

pytestmark = pytest.mark.browser


def test_two_concepts_combine_into_a_saved_image_that_the_gallery_serves(app: RunningApp, page) -> None:
    from playwright.sync_api import expect

    app.open(page)
    prompt = page.locator("#prompt textarea")
    expect(prompt).to_have_value("a photo of a <biscuit> on the beach")
    prompt.fill("a photo of a <biscuit> next to a <mug> on the beach")
    page.wait_for_selector("#dose-mug")
    source = created(page)
    shown = page.request.get(urljoin(app.address, source)).body()
    saved = app.home / "outputs" / Path(unquote(source)).name
    assert shown == saved.read_bytes()
    assert {concept.name for concept in read_recipe(saved).concepts} == {"biscuit", "mug"}


def test_sliders_come_and_go_with_the_prompt(app: RunningApp, page) -> None:
    from playwright.sync_api import expect

    app.open(page)
    prompt = page.locator("#prompt textarea")
    prompt.fill("a photo of <mug>")
    page.wait_for_selector("#dose-biscuit", state="detached")
    expect(page.locator("#dose-mug")).to_be_visible()
    page.locator("#chips [data-name=biscuit]").click()
    page.wait_for_selector("#dose-biscuit input[type=range]")
    expect(prompt).to_have_value("a photo of <mug> <biscuit>")


def test_the_image_follows_a_dragged_slider_with_the_seed_kept_and_its_time_is_shown(
    app: RunningApp, page
) -> None:
    from playwright.sync_api import expect

    app.open(page)
    page.locator("#prompt textarea").fill("a photo of <biscuit>")
    page.wait_for_selector("#dose-mug", state="detached")
    before = created(page)
    slider = page.locator("#dose-biscuit input[type=range]")
    box = slider.bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + box["width"] * 0.6, box["y"] + box["height"] / 2)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] * 0.97, box["y"] + box["height"] / 2, steps=8)
    page.mouse.up()
    changed(page, before)
    found = _live_recipe_at_the_photos_end(app.home / "cache" / "live-pictures")
    assert found.seed == read_recipe(app.home / "outputs" / Path(unquote(before)).name).seed
    assert image(page) != before
    time_shown = page.locator("#create-said .live-time")
    expect(time_shown).to_have_text(re.compile(r"^\d+\.\d\d s from slider to picture$"))
    assert unquote(image(page)).endswith(time_shown.get_attribute("data-image") or "nothing")


def test_two_images_are_compared_and_where_the_concepts_acted_is_shown(app: RunningApp, page) -> None:
    from playwright.sync_api import expect

    app.open(page)
    _steps(page, 3)
    page.locator("#prompt textarea").fill("a photo of <biscuit> next to <mug>")
    page.wait_for_selector("#dose-mug")
    first = created(page)
    page.locator("#seed input").fill("4")
    second = created(page)
    page.click("#look")
    expect(page.locator("#acting img")).to_have_count(2)
    expect(page.locator("#acting")).to_contain_text("<biscuit>")
    page.locator("#recent .thumbnail-item >> nth=0").click()
    page.locator("#recent .thumbnail-item >> nth=1").click()
    expect(page.locator("#pair img")).to_have_count(2)
    sources = [image.get_attribute("src") or "" for image in page.locator("#pair img").all()]
    compared = {Path(unquote(source)).name for source in sources}
    assert compared == {Path(unquote(source)).name for source in (first, second)}


def test_escape_stops_what_ctrl_enter_began(app: RunningApp, page) -> None:
    from playwright.sync_api import expect

    app.open(page)
    _long(page)
    page.locator("#prompt textarea").press("Control+Enter")
    expect(page.locator("#stop")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.locator("#create-said")).to_contain_text("Stopped.")
    expect(page.locator("#go")).to_be_enabled()


def test_stop_stops_the_image_also_after_asking_where_concepts_acted(app: RunningApp, page) -> None:
    from playwright.sync_api import expect

    app.open(page)
    _steps(page, 3)
    created(page)
    _long(page)
    page.locator("#prompt textarea").press("Control+Enter")
    expect(page.locator("#stop")).to_be_visible()
    page.click("#look")
    expect(page.locator("#acting-said")).to_contain_text("Waiting")  # the image comes first
    page.click("#stop")
    expect(page.locator("#create-said")).to_contain_text("Stopped.")
    expect(page.locator("#acting img")).to_have_count(1)  # the maps were not stopped


def test_a_number_in_the_prompt_holds_its_slider_and_without_it_the_slider_moves_again(
    app: RunningApp, page
) -> None:
    from playwright.sync_api import expect

    app.open(page)
    prompt, slider = page.locator("#prompt textarea"), page.locator("#dose-biscuit input[type=range]")
    prompt.fill("a photo of <biscuit>")
    expect(slider).to_be_enabled()
    prompt.fill("a photo of <biscuit:0.4>")
    expect(slider).to_be_disabled()
    expect(slider).to_have_value("100")
    expect(page.locator("#sliders")).to_contain_text("sets the gate bias of <biscuit> to 0.4")
    prompt.fill("a photo of <biscuit:much>")
    expect(page.locator("#sliders .said-problem")).to_contain_text("much")
    prompt.fill("a photo of <biscuit>")
    expect(slider).to_be_enabled()


def test_a_downloaded_image_is_the_saved_file(app: RunningApp, page, tmp_path: Path) -> None:
    app.open(page)
    _steps(page, 3)
    source = created(page)
    page.locator("#gallery .thumbnail-item").first.click()
    with page.expect_download() as download:
        page.get_by_label("Download").first.click()
    download.value.save_as(tmp_path / "got.png")
    saved = app.home / "outputs" / Path(unquote(source)).name
    assert (tmp_path / "got.png").read_bytes() == saved.read_bytes()


def test_a_prompt_with_an_unknown_concept_says_so_beside_the_image(app: RunningApp, page) -> None:
    app.open(page)
    page.locator("#prompt textarea").fill("a photo of <nobody>")
    page.locator("#prompt textarea").press("Control+Enter")
    page.wait_for_selector("#create-said .said-problem")
    assert re.search("<nobody>.*library", page.inner_text("#create-said"))


def test_every_room_fits_a_phone(app: RunningApp, page) -> None:
    page.set_viewport_size({"width": 390, "height": 844})
    app.open(page)
    for room in ("Create", "Teach", "Library", "Explore", "Image info", "Settings"):
        enter(page, room)
        page.wait_for_timeout(300)
        assert page.evaluate("document.documentElement.scrollWidth") <= 390, room


def test_recent_images_stand_in_columns_that_fit_beside_the_form(app: RunningApp, page) -> None:
    app.open(page)
    page.locator("#prompt textarea").fill("a dog")
    created(page)
    page.wait_for_selector("#recent .thumbnail-item")
    for width in (1440, 900, 390):
        page.set_viewport_size({"width": width, "height": 844})
        columns = page.evaluate("""() => {
            const grid = document.querySelector("#recent .grid-container"), style = getComputedStyle(grid);
            const widths = style.gridTemplateColumns.split(" ").map(parseFloat);
            const between = parseFloat(style.columnGap) * (widths.length - 1);
            return [widths.reduce((sum, next) => sum + next, between), grid.clientWidth];
        }""")
        assert columns[0] <= columns[1] + 1, width


def _steps(page, count: int) -> None:
    if not page.locator("#steps").is_visible():
        page.locator("#more .label-wrap").click()
    set_number(page, "#steps", count)


def _long(page) -> None:
    """A job that is still at work when a slow browser comes to stop it."""
    _steps(page, 100)
    set_number(page, "#count", 16)


def _live_recipe_at_the_photos_end(folder: Path, patience: float = 60.0) -> ImageRecipe:
    """The recipe of the newest live image, once the newest position has been drawn."""
    ends = time.monotonic() + patience
    while time.monotonic() < ends:
        newest = max(folder.rglob("*.png"), key=lambda path: path.stat().st_mtime)
        recipe = read_recipe(newest)
        if recipe.concepts[0].bias < 0.5:
            return recipe
        time.sleep(0.2)
    raise AssertionError("the picture did not come to where the slider was let go")
