"""The report: order, escaping, and that it needs nothing but itself."""

from __future__ import annotations

import base64
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest

from perfusion_core.fanout import report
from perfusion_core.fanout.report import report_page, strength, write_report
from tests.fanout.report_contents import facts, put_images, webp

HOSTILE = "</h2><script>alert(1)</script>\x1b[31m\u202e"


def headings(page: str) -> list[str]:
    return re.findall(r"<h2>(.*?)</h2>", page)


def test_failures_come_first_then_what_has_no_scores_then_the_weakest(tmp_path: Path) -> None:
    given = {"good": facts(0.8), "bare": facts(None), "weak": facts(0.2), "backward": facts(-0.1)}
    page = report_page(tmp_path, "Taught", given, {"lost": "no photo"})
    assert headings(page) == ["lost", "bare", "backward", "weak", "good"]
    assert strength(given["backward"]) == 0.0


def test_nothing_of_a_name_a_reason_or_a_path_becomes_markup(tmp_path: Path) -> None:
    put_images(tmp_path, "b", photo=['"><script>alert(1)</script>'])
    given = facts(0.5, superclass=HOSTILE, warnings=[HOSTILE], settings={HOSTILE: HOSTILE})
    page = report_page(tmp_path, HOSTILE, {HOSTILE: given, "b": given}, {f"b{HOSTILE}": HOSTILE})
    tags: set[str] = set()

    class Reader(HTMLParser):
        def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
            tags.add(tag)

    Reader().feed(page)
    assert "script" not in tags
    assert "\x1b" not in page
    assert "\u202e" not in page
    assert "&lt;script&gt;" in page


def test_only_webp_images_are_put_in_and_nothing_is_asked_for(tmp_path: Path) -> None:
    svg = base64.b64encode(b"<svg onload=alert(1)>").decode()
    put_images(tmp_path, "a", photo=[webp(), "../outside.webp", 3], front=[svg], preview="none")
    page = report_page(tmp_path, "Taught", {"a": facts(0.5)}, {})
    assert len(re.findall(r'src="data:image/webp;base64,[\w+/=]+"', page)) == 1
    assert not re.search(r'(src|href)="(?!data:)', page)
    assert "default-src 'none'" in page


@pytest.mark.parametrize("content", ["[]", "{", "[" * 9999])
def test_damaged_images_leave_the_rest_of_the_page(tmp_path: Path, content: str) -> None:
    put_images(tmp_path, "a")
    (tmp_path / "images/a.json").write_text(content)
    assert headings(report_page(tmp_path, "Taught", {"a": facts(0.5)}, {})) == ["a"]


def test_the_front_is_drawn_with_its_biases_and_scores(tmp_path: Path) -> None:
    front = [{"bias": bias, "image": 0.9 - bias, "text": bias} for bias in (0.8, 0.6, 0.4)]
    put_images(tmp_path, "a", front=[webp()] * 3)
    page = report_page(tmp_path, "Taught", {"a": facts(0.5, front=front)}, {})
    assert re.findall(r"<figcaption>(.*?)</figcaption>", page) == ["0.80", "0.60", "0.40"]
    assert page.count("<polyline") == 2


def test_a_long_report_shows_the_weakest_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(report, "MOST_WHOLE", 1)
    for label in "ab":
        put_images(tmp_path, label, photo=[webp()] * 3, front=[webp()])
    page = report_page(tmp_path, "Taught", {c: facts(0.1 + i) for i, c in enumerate("ab")}, {})
    first, second = page.split("<h2>")[1:]
    assert first.count("<img") == 4
    assert second.count("<img") == 1


def test_it_is_one_file(tmp_path: Path) -> None:
    path = write_report(tmp_path, "Taught from m.csv", {}, {})
    assert path == tmp_path / "report.html"
    assert path.read_text("utf-8").startswith("<!doctype html>")
