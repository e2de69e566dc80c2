"""Clicks on words and concepts, faster than the page shows what they wrote."""

from __future__ import annotations

from perfusion_core.ui.create.prompt_edits import PromptEdits


def clicked(edits: PromptEdits, shown: str, word: str) -> PromptEdits:
    return edits.written(shown, f"{edits.meant(shown)} {word}")


def test_three_clicks_on_a_page_that_shows_none_of_them_yet_all_count() -> None:
    edits = PromptEdits()
    for word in ("one", "two", "three"):
        edits = clicked(edits, "a", word)
    assert edits.text == "a one two three"


def test_a_click_on_a_page_that_shows_only_the_first_of_two_counts_after_both() -> None:
    edits = clicked(clicked(PromptEdits(), "a", "one"), "a", "two")
    edits = clicked(edits.seen("a one"), "a one", "three")
    assert edits.text == "a one two three"


def test_what_is_deleted_by_hand_after_it_was_shown_stays_deleted() -> None:
    edits = clicked(PromptEdits(), "a", "one").seen("a one").seen("a")
    assert clicked(edits, "a", "two").text == "a two"


def test_a_prompt_written_by_hand_between_two_clicks_is_kept() -> None:
    edits = clicked(PromptEdits(), "a", "one").seen("b")
    assert clicked(edits, "b", "two").text == "b two"
    assert clicked(clicked(PromptEdits(), "a", "one"), "b", "two").text == "b two"


def test_a_click_that_changes_nothing_holds_nothing_back() -> None:
    edits = PromptEdits().written("a", "a")
    assert edits.earlier == ()
    assert clicked(edits, "a", "one").text == "a one"
