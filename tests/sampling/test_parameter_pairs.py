from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from perfusion_core.sampling.parameter_pairs import LONGEST_LINE, MOST_PAIRS, read_pairs


class Counted(str):
    """A text that counts how many of its characters were looked at."""

    looked_at = 0

    def find(self, part: str, start: int = 0) -> int:  # type: ignore[override]
        found = str.find(self, part, start)
        self.looked_at += (found if found >= 0 else len(self)) - start + 1
        return found

    def __getitem__(self, place: int | slice) -> str:  # type: ignore[override]
        found = str.__getitem__(self, place)
        self.looked_at += len(found) + 1
        return found


def steps(line: str) -> int:
    counted = Counted(line)
    read_pairs(counted)
    return counted.looked_at


def test_pairs_are_read_as_other_tools_write_them() -> None:
    line = 'Steps: 28, Sampler: Euler a, CFG scale: 6.5, Size: 512x768, Note: "a, b: \\"c\\"", Version: v1'
    assert read_pairs(line) == {
        "Steps": "28",
        "Sampler": "Euler a",
        "CFG scale": "6.5",
        "Size": "512x768",
        "Note": '"a, b: \\"c\\""',
        "Version": "v1",
    }


@pytest.mark.parametrize(
    ("line", "pairs"),
    [
        ("", {}),
        ("no pairs here", {}),
        ("a stray word, Steps: 3", {"Steps": "3"}),
        ("Steps: 3, Steps: 4", {"Steps": "4"}),
        ("Steps: 3, a stray word", {"Steps": "3"}),
        ("Steps:3,Seed:7", {"Steps": "3", "Seed": "7"}),
        ('Steps: 3, Note: "never closed, Seed: 7', {"Steps": "3"}),
        ('Note: "closed" and more, Seed: 7', {"Note": '"closed" and more', "Seed": "7"}),
        ('Note: "ends in a backslash\\\\", Seed: 7', {"Note": '"ends in a backslash\\\\"', "Seed": "7"}),
        (": 3, Seed: 7", {"Seed": "7"}),
        ("Steps: ", {"Steps": ""}),
        ("Ratio: 1:2, Seed: 7", {"Ratio": "1:2", "Seed": "7"}),
    ],
)
def test_odd_lines_give_what_can_be_read_of_them(line: str, pairs: dict[str, str]) -> None:
    assert read_pairs(line) == pairs


def test_a_line_too_long_or_of_too_many_pairs_is_not_read_on() -> None:
    assert read_pairs("Steps: 3, " + "x" * LONGEST_LINE) == {}
    assert len(read_pairs(", ".join(f"k{k}: {k}" for k in range(2 * MOST_PAIRS)))) == MOST_PAIRS


HOSTILE = ["a ", "a", " ", ":", '"', "\\", '\\"', ",", "a:", 'a: "', 'a:"\\', "a b-/c ", ': "", ', "é", "\n"]


@pytest.mark.parametrize("part", [*HOSTILE, 'a: "b\\", ', "a: b, ", "Steps: 1" + " " * 30])
@pytest.mark.parametrize("length", [1_000, 16_000, LONGEST_LINE])
def test_the_work_grows_with_the_length_and_with_nothing_else(part: str, length: int) -> None:
    line = (part * length)[:length]
    assert steps(line) <= 8 * length + 100


@settings(max_examples=300, deadline=None)
@given(st.lists(st.tuples(st.sampled_from(HOSTILE), st.integers(1, 400)), max_size=24))
def test_any_mixture_of_hostile_parts_is_read_in_linear_work(parts: list[tuple[str, int]]) -> None:
    line = "".join(part * times for part, times in parts)
    assert steps(line) <= 8 * len(line) + 100
