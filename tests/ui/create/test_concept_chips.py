"""What the form reads in a prompt."""

from __future__ import annotations

from perfusion_core.ui.create.concept_chips import mentions_of
from perfusion_core.ui.create.images import in_use

NAMES = ["mug", "biscuit"]


def test_concepts_are_read_in_the_prompts_order_with_the_numbers_written_for_them() -> None:
    assert mentions_of("a <Biscuit:0.6> next to <mug> and <nobody>", NAMES) == [
        ("biscuit", "0.6"),
        ("mug", ""),
    ]
    assert mentions_of(None, NAMES) == []


def test_a_number_in_the_prompt_goes_before_the_slider() -> None:
    positions = {"mug": 40.0, "biscuit": 60.0, "gone": 10.0}
    assert in_use("<biscuit:0.6> and <mug>", positions) == {"mug": 40.0}
