"""Explore's prompt follows the concepts that are chosen."""

from __future__ import annotations

import pytest

from perfusion_core.ui.explore.concept_choice import fitting


@pytest.mark.parametrize(
    ("name", "against", "typed", "after"),
    [
        ("mug", "", "a sketch of <mug>", "a sketch of <mug>"),
        ("mug", "rex", "<rex> on a <mug:0.3>", "<rex> on a <mug:0.3>"),
        ("mug", "mug", "a sketch of <mug>", "a sketch of <mug>"),
        ("rex", "", "a sketch of <mug>", "a photo of a <rex> on the beach"),
        ("mug", "rex", "a sketch of <mug>", "a photo of a <mug> next to a <rex>"),
        ("mug", "", "a <mug> and <rex>", "a photo of a <mug> on the beach"),
        ("mug", "", "a dog", "a photo of a <mug> on the beach"),
        (None, "", "", ""),
    ],
)
def test_a_prompt_typed_for_what_is_chosen_stays(
    name: str | None, against: str, typed: str, after: str
) -> None:
    assert fitting(typed, name, against, ["mug", "rex"]) == after
