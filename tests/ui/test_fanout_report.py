"""report.html of `teach-all` in a browser: it shows everything, asks for nothing and fits a phone."""

from __future__ import annotations

import base64
import io
import json
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from PIL import Image

from perfusion_core.fanout.report import write_report

if TYPE_CHECKING:
    from playwright.sync_api import Browser

pytestmark = pytest.mark.browser


def webp(colour: str) -> str:
    buffer = io.BytesIO()
    Image.new("RGB", (128, 128), colour).save(buffer, format="WEBP")
    return base64.b64encode(buffer.getvalue()).decode()


@pytest.fixture
def report(tmp_path: Path) -> Path:
    (tmp_path / "images").mkdir()
    facts = {}
    for name, score in (("strong", 0.8), ("weak", 0.2)):
        shown = {"photo": [webp("red")] * 5, "preview": [webp("navy")] * 4, "front": [webp("green")] * 3}
        (tmp_path / "images" / f"{name}.json").write_text(json.dumps(shown))
        front = [{"bias": bias, "image": 0.9 - bias, "text": bias} for bias in (0.8, 0.6, 0.4)]
        scores = {"image": score, "text": 0.3, "untaught_image": 0.1}
        facts[name] = {
            "superclass": "dog", "scores": scores, "seconds": 75.0, "bias": {"local": 0.6}, "front": front,
        }  # fmt: skip
    return write_report(tmp_path, "Taught from m.csv", facts, {"lost": "“0.png” cannot be read to its end"})


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
