"""A base that says what it knows: words to click, a note on those it does not know, kinds to choose from."""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from perfusion_core.ui.teach.superclass_check import COMMON_KINDS
from tests.ui.running_app import RunningApp, created, enter
from tests.worded_base import worded

if TYPE_CHECKING:
    from collections.abc import Iterator

    from playwright.sync_api import Page

pytestmark = pytest.mark.browser


@pytest.fixture
def plain(pocket: Path, tmp_path: Path) -> Path:
    """The pocket base as it would be without words of its own."""
    folder = worded(pocket, tmp_path / "plain")
    (folder / "words.json").unlink()
    return folder


@pytest.fixture
def own_app(
    pocket: Path, taught_home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[RunningApp]:
    monkeypatch.setenv("PERFUSION_POCKET", str(worded(pocket, tmp_path / "worded")))
    shutil.copytree(taught_home / "library", tmp_path / "home" / "library")
    with RunningApp(tmp_path / "home") as running:
        yield running


def test_words_guide_from_a_prompt_to_a_kind_of_thing_and_go_with_the_base(
    own_app: RunningApp, plain: Path, page: Page
) -> None:
    from playwright.sync_api import expect

    own_app.open(page)
    prompt, doubt, words = page.locator("#prompt textarea"), page.locator("#doubt"), page.locator("#words")
    expect(doubt).to_be_hidden()  # concepts and known words

    prompt.fill("")
    prompt.press_sequentially("a photo of dogs and a wizard", delay=10)
    expect(doubt).to_contain_text("This model does not know “wizard”")
    doubt.locator("[data-word=dogs]").click()
    expect(prompt).to_have_value("a photo of dog and a wizard")
    prompt.fill("a photo of a dog on the beach")
    expect(doubt).to_be_hidden()

    words.locator("summary", has_text="Words this model knows").click()
    words.locator("summary", has_text="To wear").click()
    words.locator("[data-phrase='wearing a crown']").click()
    expect(prompt).to_have_value("a photo of a dog wearing a crown on the beach")
    words.locator("summary").filter(has_text=re.compile("^Things")).click()
    expect(words.locator("[data-phrase='wearing a crown']")).to_be_hidden()  # one group at a time
    words.locator("input[type=search]").fill("guit")
    expect(words.locator(".word-group [data-phrase]:visible")).to_have_text(["guitar"])
    words.locator("[data-phrase=guitar]").click()
    expect(prompt).to_have_value("a photo of a guitar wearing a crown on the beach")
    created(page)

    enter(page, "Teach")
    kind, check = page.locator("#teach-kind input"), page.locator("#kind-check")
    kind.press_sequentially("potted")
    page.locator("#teach-kind [role=option]", has_text="potted plant").click()
    expect(check).to_contain_text("knows the word “potted plant”")
    kind.fill("mug")
    kind.press("Enter")
    check.locator("[data-instead=cup]").click()
    expect(kind).to_have_value("cup")
    expect(check).to_contain_text("knows the word “cup”")

    page.locator("#base input").fill(str(plain))
    page.locator("#base input").press("Enter")
    enter(page, "Create")
    expect(prompt).to_be_visible()
    expect(words).to_be_hidden()
    enter(page, "Teach")
    expect(kind).to_have_value("cup")
    kind.click()
    expect(page.locator("#teach-kind [role=option]", has_text="shoe")).to_have_count(1)
    expect(page.locator("#teach-kind [role=option]", has_text="potted plant")).to_have_count(0)


def test_a_list_that_is_open_when_the_base_changes_shows_the_new_kinds(
    own_app: RunningApp, plain: Path, page: Page
) -> None:
    from playwright.sync_api import expect

    own_app.open(page, "Teach")
    page.locator("#teach-kind input").click()
    expect(page.locator("#teach-kind [role=option]", has_text="potted plant")).to_have_count(1)

    other = page.context.new_page()  # two tabs of one app: the first keeps its list open
    own_app.open(other)
    other.locator("#base input").fill(str(plain))
    other.locator("#base input").press("Enter")
    expect(page.locator("#teach-kind [role=option]")).to_have_text(
        [re.compile(rf"\b{kind}$") for kind in COMMON_KINDS]
    )
    page.locator("#teach-kind [role=option]", has_text="shoe").click()
    expect(page.locator("#kind-check")).to_contain_text("knows the word “shoe”")
