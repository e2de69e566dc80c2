"""A first visit: the bundled concepts, an image of one beside its photos, one click to the next image."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urljoin

import pytest

from perfusion_core.concept import read_metadata
from perfusion_core.sampling.png import read_recipe
from perfusion_core.studio.creating.first_example import IMAGE
from perfusion_core.studio.library.bundled import FOLDER
from tests.ui.running_app import RunningApp, changed, image

if TYPE_CHECKING:
    from playwright.sync_api import Page

pytestmark = pytest.mark.browser


def test_a_first_visit_shows_a_taught_thing_beside_its_photos_and_is_one_click_from_another_image(
    pocket: Path, tmp_path: Path, page: Page
) -> None:
    from playwright.sync_api import expect

    names = [read_metadata(path).name for path in sorted(FOLDER.glob("*.safetensors"))]
    with RunningApp(tmp_path) as running:
        running.open(page)
        expect(page.locator("#chips .chip")).to_have_count(len(names))
        expect(page.locator(".chip-foreign")).to_have_count(0)  # they were taught on the bundled base
        prompt = page.locator("#prompt textarea").input_value()
        assert sum(f"<{name}>" in prompt for name in names) == 1
        expect(page.locator("#example .photos img")).to_have_count(5)
        page.wait_for_selector("#gallery img")
        first = image(page)
        assert page.request.get(urljoin(running.address, first)).body() == IMAGE.read_bytes()
        page.fill("#seed input, #seed textarea", "3")
        page.click("#go")
        changed(page, first)
        expect(page.locator("#example img")).to_have_count(0)
        (made,) = (tmp_path / "outputs").glob("*.png")
        as_it_opened, example = read_recipe(made), read_recipe(IMAGE)
        assert as_it_opened.seed == 3
        assert as_it_opened.model_copy(update={"seed": example.seed}) == example
