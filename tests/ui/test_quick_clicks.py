"""A second click before the first one is answered counts as well.

The page's requests are held back until both clicks are made, as a slow machine or connection would, or the
stream of answers ends just as the second click is made.
"""

from __future__ import annotations

from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote

import pytest

from tests.ui.running_app import RunningApp, changed, created

if TYPE_CHECKING:
    from collections.abc import Iterator

    from playwright.sync_api import Page, Route

pytestmark = pytest.mark.browser
QUEUED = "**/queue/join**"


@contextmanager
def held(page: Page) -> Iterator[None]:
    """Within the block no queued event reaches the app; at its end all do, in their order."""
    waiting: list[Route] = []
    released = False

    def hold(route: Route) -> None:
        if released:
            route.continue_()
        else:
            waiting.append(route)

    page.route(QUEUED, hold)
    yield
    while waiting:  # with what the first answers bring about
        with page.expect_response(QUEUED):
            waiting.pop(0).continue_()
    released = True


def test_two_recent_images_are_compared(app: RunningApp, page: Page) -> None:
    from playwright.sync_api import expect

    app.open(page)
    page.locator("#prompt textarea").fill("a photo of <biscuit>")
    page.wait_for_selector("#dose-mug", state="detached")
    page.locator("#seed input").fill("1")
    first = created(page)
    page.locator("#seed input").fill("2")
    second = created(page)
    with held(page):
        page.locator("#recent .thumbnail-item >> nth=0").click()
        page.locator("#recent .thumbnail-item >> nth=1").click()
    expect(page.locator("#pair img")).to_have_count(2)
    sources = [image.get_attribute("src") or "" for image in page.locator("#pair img").all()]
    assert {_name(source) for source in sources} == {_name(first), _name(second)}


# The browser learns late that the stream of answers has ended, as one that has much to do would.
LEARNS_LATE = """(() => {
    const plain = window.fetch;
    window.fetch = async (asked, ...options) => {
        const response = await plain(asked, ...options);
        if (!String(asked.url ?? asked).includes("/queue/data")) return response;
        const read = new TextDecoder(), written = new TextEncoder();
        let begun = "";
        const late = new TransformStream({ transform: async (chunk, out) => {
            const messages = (begun + read.decode(chunk, { stream: true })).split("\\n\\n");
            begun = messages.pop();
            for (const message of messages) {
                if (message.includes("close_stream")) await new Promise((on) => setTimeout(on, 2000));
                out.enqueue(written.encode(message + "\\n\\n"));
            }
        } });
        return new Response(response.body.pipeThrough(late), response);
    };
})()"""


def test_a_click_while_the_stream_of_answers_ends_is_answered(app: RunningApp, page: Page) -> None:
    from playwright.sync_api import expect

    page.add_init_script(LEARNS_LATE)
    app.open(page)
    page.locator("#prompt textarea").fill("a photo of <biscuit>")
    for seed in ("1", "2"):
        page.locator("#seed input").fill(seed)
        shown = created(page)
    page.locator("#recent .thumbnail-item >> nth=1").click()
    changed(page, shown)
    page.locator("#recent .thumbnail-item >> nth=0").click()
    expect(page.locator("#pair img")).to_have_count(2, timeout=20_000)


def test_the_library_opens_the_concept_that_was_clicked_last(app: RunningApp, page: Page) -> None:
    from playwright.sync_api import expect

    app.open(page, "Library")
    with held(page):
        page.locator("#library-cards [data-name=mug]").click()
        page.locator("#library-cards [data-name=biscuit]").click()
    expect(page.locator("#library-cards [data-name=biscuit]")).to_have_attribute("aria-pressed", "true")
    expect(page.locator("#concept-name").get_by_role("textbox")).to_have_value("biscuit")


def _name(source: str) -> str:
    return Path(unquote(source)).name
