"""A list of choices that changes while it is open."""

from __future__ import annotations

import gradio as gr
import pytest

from perfusion_core.ui.choice_list import choice_list

pytestmark = pytest.mark.browser
MANY = [f"thing {number}" for number in range(40)]


@pytest.mark.parametrize(
    ("typed", "after"),
    [("", MANY[:30]), ("thing 3", MANY[:3]), ("thing 3", [*MANY, "one more"]), ("", [])],
)
def test_an_open_list_takes_other_choices_and_the_page_lives_on(page, typed: str, after: list[str]) -> None:
    from playwright.sync_api import expect

    with gr.Blocks(analytics_enabled=False) as demo:
        field = choice_list(MANY, value=None, elem_id="field", allow_custom_value=True)
        count = gr.Textbox("0", elem_id="count")
        # A click elsewhere would close the list: a key in the field changes it while it is open.
        field.key_up(lambda: (choice_list(after), str(len(after))), None, [field, count])
    demo.launch(prevent_thread_lock=True, quiet=True)
    try:
        errors: list[str] = []
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.goto(demo.local_url)
        page.locator("#field input").click()
        expect(page.locator("#field [role=option]")).to_have_count(len(MANY))
        page.locator("#field input").fill(typed)
        page.locator("#field input").press("ArrowDown")
        expect(page.locator("#count textarea")).to_have_value(str(len(after)))
        expect(page.locator("#field [role=option]")).to_have_count(len(after))
    finally:
        demo.close()
    assert not errors
