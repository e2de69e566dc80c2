"""report.html of `teach-all` in a browser: it shows everything, asks for nothing and fits a phone."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from perfusion_core.fanout.report import write_report
from tests.fanout.report_contents import facts, put_images, webp

if TYPE_CHECKING:
    from playwright.sync_api import Browser

pytestmark = pytest.mark.browser


@pytest.fixture
def report(tmp_path: Path) -> Path:
    front = [{"bias": bias, "image": 0.9 - bias, "text": bias} for bias in (0.8, 0.6, 0.4)]
    for name in ("strong", "weak"):
        put_images(tmp_path, name, photo=[webp(128)] * 5, preview=[webp(128)] * 4, front=[webp(128)] * 3)
    taught = {"strong": facts(0.8, front=front), "weak": facts(0.2, front=front)}
    return write_report(tmp_path, "Taught from m.csv", taught, {"lost": "“0.png” cannot be read to its end"})


@pytest.mark.parametrize(("width", "height"), [(1440, 900), (390, 844)])
def test_the_report_shows_everything_asks_for_nothing_and_fits(
    report: Path, chromium: Browser, width: int, height: int
) -> None:
    context = chromium.new_context(viewport={"width": width, "height": height})
    page = context.new_page()
    said, asked = list[str](), list[str]()
    page.on("console", lambda message: said.append(message.text))
    page.on("request", lambda request: asked.append(request.url))
    page.goto(report.as_uri())
    assert page.locator("h2").all_inner_texts() == ["lost", "weak", "strong"]
    assert page.get_by_text("cannot be read to its end").is_visible()
    images = page.locator("img")
    assert images.count() == 2 * (5 + 4 + 3)
    assert all(images.evaluate_all("all => all.map(each => each.complete && each.naturalWidth === 128)"))
    assert page.locator("polyline").count() == 4
    assert page.locator("polyline").first.is_visible()
    inside = "document.documentElement.scrollWidth <= document.documentElement.clientWidth"
    assert page.evaluate(inside), "it scrolls sideways"
    context.close()
    assert said == []
    assert [url for url in asked if not url.startswith("data:")] == [report.as_uri()]
