"""Explore: a front, and the point of it that is kept."""

from __future__ import annotations

import pytest

from perfusion_core.studio.library import Library
from tests.ui.running_app import RunningApp

pytestmark = pytest.mark.browser


def test_a_clicked_picture_of_a_front_becomes_the_concepts_setting_in_create(app: RunningApp, page) -> None:
    app.open(page, "Explore")
    page.locator("#explore-points input[type=number]").fill("3")
    page.locator("#explore-points input[type=number]").press("Tab")
    page.click("#explore-go")
    page.wait_for_selector("#board .shot >> nth=2")
    page.locator("#board .shot >> nth=2").click()
    page.wait_for_selector("#dose-biscuit input[type=range]")
    assert page.locator("#dose-biscuit input[type=range]").input_value() == "100"
    assert "<biscuit>" in page.locator("#prompt textarea").input_value()
    assert Library(app.home).get("biscuit").metadata.bias["local"] == pytest.approx(0.4)
