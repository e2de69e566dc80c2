"""A first visit: the bundled concepts, a prompt that combines them, one click to an image."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from perfusion_core.concept import read_metadata
from perfusion_core.studio.library.bundled import FOLDER
from tests.ui.running_app import RunningApp, changed

if TYPE_CHECKING:
    from playwright.sync_api import Page

pytestmark = pytest.mark.browser


def test_a_first_visit_is_one_click_from_an_image_of_a_bundled_concept(
    pocket: Path, tmp_path: Path, page: Page
) -> None:
    from playwright.sync_api import expect

    names = [read_metadata(path).name for path in sorted(FOLDER.glob("*.safetensors"))]
    if not names:
        pytest.skip("no concepts are bundled")
    with RunningApp(tmp_path) as running:
        running.open(page)
        expect(page.locator("#chips .chip")).to_have_count(len(names))
        expect(page.locator(".chip-foreign")).to_have_count(0)  # they were taught on the bundled base
        prompt = page.locator("#prompt textarea").input_value()
        assert sum(f"<{name}>" in prompt for name in names) == 1
        page.click("#go")
        changed(page, "")
        assert len(list((tmp_path / "outputs").glob("*.png"))) == 1
