"""Which concepts a prompt names."""

from __future__ import annotations

import pytest

from perfusion_core.prompt_grammar import mentions
from perfusion_core.studio.creating.mentions import fixed, mentioned, with_mention, without_numbers

NAMES = ["biscuit", "mug", "кот"]


def test_concepts_are_found_in_any_case_in_the_prompts_order_and_once() -> None:
    assert mentioned("a <MUG> beside < biscuit > and <mug:0.5>", NAMES) == ["mug", "biscuit"]


def test_names_of_any_script_are_found_and_unknown_ones_left_out() -> None:
    assert mentioned("<Кот> and <nobody>", NAMES) == ["кот"]


def test_a_number_in_the_prompt_is_known_as_fixed() -> None:
    assert fixed("<mug:0.55> and <biscuit>", NAMES) == {"mug": "0.55"}


def test_numbers_are_taken_out_and_the_rest_stays() -> None:
    assert without_numbers("a <mug:0.55>, a < b") == "a <mug>, a < b"
    assert without_numbers("a < mug : 0.55 > and < > and <:0.5>") == "a <mug> and < > and <:0.5>"


def test_a_concept_is_written_into_a_prompt_once() -> None:
    assert with_mention("a photo of", "mug") == "a photo of <mug>"
    assert with_mention("a photo of <Mug>", "mug") == "a photo of <Mug>"


HOSTILE = [
    "<" + " " * 100_000,
    "<a:" + " " * 100_000,
    "<" * 100_000,
    "<a" * 50_000,
    "<a:" * 30_000 + "x" * 9_999,
]


@pytest.mark.parametrize("prompt", HOSTILE, ids=range(len(HOSTILE)))
def test_a_hostile_prompt_is_read_in_one_pass(prompt: str) -> None:
    # Where a pattern could split these in more ways than one, this would not end in a lifetime.
    assert mentioned(prompt, NAMES) == []
    assert fixed(prompt, NAMES) == {}
    assert without_numbers(prompt) == prompt
    assert mentions(prompt) == ()
