"""Explore: a front and a grid, and the point of it that is kept."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from perfusion_core.sampling.operating_points import RANGES
from perfusion_core.studio.library.library import Library
from tests.ui.running_app import RunningApp, enter, set_number

if TYPE_CHECKING:
    from playwright.sync_api import Page

pytestmark = pytest.mark.browser

ENDS = RANGES["local"]


def test_a_clicked_image_of_a_front_becomes_the_concepts_setting_in_create(
    app: RunningApp, page: Page
) -> None:
    from playwright.sync_api import expect

    app.open(page, "Explore")
    _choose(page, "#explore-name", "biscuit")
    set_number(page, "#explore-points", 2)
    set_number(page, "#explore-seeds", 2)
    page.click("#explore-go")
    expect(page.locator("#board .shot")).to_have_count(4)
    expect(page.locator("#board .seed")).to_have_text(["Seed 0", "Seed 1"])
    page.locator("#board .shot >> nth=3").click()  # the second seed at the photos' end
    expect(page.locator("#dose-biscuit input[type=range]")).to_have_value("100")
    expect(page.locator("#seed input")).to_have_value("1")
    expect(page.locator("#prompt textarea")).to_have_value("a photo of a <biscuit> on the beach")
    assert Library(app.home).get("biscuit").metadata.bias["local"] == pytest.approx(ENDS.photo_end)

    enter(page, "Explore")  # and once more, so that an old setting would show
    page.locator("#board .shot >> nth=0").click()
    expect(page.locator("#dose-biscuit input[type=range]")).to_have_value("0")
    expect(page.locator("#seed input")).to_have_value("0")


def test_a_clicked_cell_of_a_grid_sets_both_concepts_in_create(app: RunningApp, page: Page) -> None:
    from playwright.sync_api import expect

    app.open(page, "Explore")
    _choose(page, "#explore-name", "biscuit")
    _choose(page, "#explore-against", "mug")
    expect(page.locator("#explore-seeds")).to_be_hidden()
    expect(page.locator("#explore-prompt textarea")).to_have_value("a photo of a <biscuit> next to a <mug>")
    set_number(page, "#explore-points", 2)
    page.get_by_role("button", name="Draw the grid").click()
    expect(page.locator("#board .pairs .shot")).to_have_count(4)
    page.locator("#board .pairs .shot >> nth=1").click()  # first row, second column
    expect(page.locator("#dose-biscuit input[type=range]")).to_have_value("0")
    expect(page.locator("#dose-mug input[type=range]")).to_have_value("100")
    kept = {name: Library(app.home).get(name).metadata.bias["local"] for name in ("biscuit", "mug")}
    assert kept == {"biscuit": ENDS.prompt_end, "mug": ENDS.photo_end}


def _choose(page: Page, dropdown: str, choice: str) -> None:
    page.locator(f"{dropdown} input").click()
    page.locator(dropdown).get_by_role("option", name=choice, exact=True).click()
