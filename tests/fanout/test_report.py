"""The report: order, escaping, and that it needs nothing but itself."""

from __future__ import annotations

import io
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from perfusion_core.fanout import report
from perfusion_core.fanout.report import report_page, strength, write_report

HOSTILE = "</h2><script>alert(1)</script>\x1b[31m\u202e"


def facts(image: float | None, text: float = 0.3, **changes: Any) -> dict[str, Any]:
    scores = {} if image is None else {"image": image, "text": text, "untaught_image": 0.1}
    return {"superclass": "dog", "scores": scores, "seconds": 75.0, "bias": {"local": 0.6}, **changes}


def headings(page: str) -> list[str]:
    return re.findall(r"<h2>(.*?)</h2>", page)


def put_image(path: Path) -> str:
    buffer = io.BytesIO()
    Image.new("RGB", (8, 8), "red").save(buffer, format="WEBP")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(buffer.getvalue())
    return path.name


def test_failures_come_first_then_what_has_no_scores_then_the_weakest(tmp_path: Path) -> None:
    given = {"good": facts(0.8), "bare": facts(None), "weak": facts(0.2), "backward": facts(-0.1)}
    page = report_page(tmp_path, "Taught", given, {"lost": "no photo"})
    assert headings(page) == ["lost", "bare", "backward", "weak", "good"]
    assert strength(given["backward"]) == 0.0


def test_nothing_of_a_name_a_reason_or_a_path_becomes_markup(tmp_path: Path) -> None:
    shown = {"photo": ['images/"><script>/x.webp'], "front": ["../../etc/passwd"]}
    given = facts(0.5, superclass=HOSTILE, warnings=[HOSTILE], settings={HOSTILE: HOSTILE}, shown=shown)
    page = report_page(tmp_path, HOSTILE, {HOSTILE: given}, {f"b{HOSTILE}": HOSTILE})
    tags: set[str] = set()

    class Reader(HTMLParser):
        def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
            tags.add(tag)

    Reader().feed(page)
    assert "script" not in tags
    assert "\x1b" not in page
    assert "\u202e" not in page
    assert "&lt;script&gt;" in page


def test_images_are_inside_and_only_webp_of_the_results_is(tmp_path: Path) -> None:
    put_image(tmp_path / "images/a/photo-0.webp")
    (tmp_path / "images/a/front-0.webp").write_bytes(b"<svg onload=alert(1)>")
    put_image(tmp_path.parent / "outside.webp")
    shown = {"photo": ["images/a/photo-0.webp", "../outside.webp"], "front": ["images/a/front-0.webp"]}
    page = report_page(tmp_path, "Taught", {"a": facts(0.5, shown=shown)}, {})
    assert len(re.findall(r'src="data:image/webp;base64,[\w+/=]+"', page)) == 1
    assert not re.search(r'(src|href)="(?!data:)', page)
    assert "default-src 'none'" in page


def test_the_front_is_drawn_with_its_biases_and_scores(tmp_path: Path) -> None:
    front = [{"bias": bias, "image": 0.9 - bias, "text": bias} for bias in (0.8, 0.6, 0.4)]
    paths = [f"images/a/front-{k}.webp" for k in range(3)]
    for path in paths:
        put_image(tmp_path / path)
    page = report_page(tmp_path, "Taught", {"a": facts(0.5, front=front, shown={"front": paths})}, {})
    assert re.findall(r"<figcaption>(.*?)</figcaption>", page) == ["0.80", "0.60", "0.40"]
    assert page.count("<polyline") == 2


def test_a_long_report_shows_the_weakest_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(report, "MOST_WHOLE", 1)
    shown = {"photo": [f"images/p{k}.webp" for k in range(3)], "front": ["images/f.webp"]}
    for path in [*shown["photo"], *shown["front"]]:
        put_image(tmp_path / path)
    page = report_page(tmp_path, "Taught", {c: facts(0.1 + i, shown=shown) for i, c in enumerate("ab")}, {})
    first, second = page.split("<h2>")[1:]
    assert first.count("<img") == 4
    assert second.count("<img") == 1


def test_it_is_one_file(tmp_path: Path) -> None:
    path = write_report(tmp_path, "Taught from m.csv", {}, {})
    assert path == tmp_path / "report.html"
    assert path.read_text("utf-8").startswith("<!doctype html>")
