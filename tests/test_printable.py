from __future__ import annotations

import json
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from perfusion_core.printable import printable, printable_json


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("a photo of a <biscuit>, 75 %", "a photo of a <biscuit>, 75 %"),
        ("собака 犬 𝒳 é 🐕", "собака 犬 𝒳 é 🐕"),
        ("می‌خواهم", "می‌خواهم"),
        ("\x1b[31mred\x1b[0m", "\\x1b[31mred\\x1b[0m"),
        ("\x9b31m", "\\x9b31m"),
        ("one\r\ntwo", "one\\r\\ntwo"),
        ("turned \u202e around", "turned \\u202e around"),
        ("half \ud800", "half \\ud800"),
        ("a\u3000b\u00a0c", "a\u3000b\u00a0c"),
    ],
)
def test_text_is_shown_with_its_unseen_characters_named(text: str, shown: str) -> None:
    assert printable(text) == shown


@given(st.text(st.characters()))
def test_nothing_printed_can_move_a_cursor_or_break_a_line(text: str) -> None:
    shown = printable(text)
    shown.encode()  # no half characters
    assert not any(unicodedata.category(c) in ("Cc", "Cs", "Co", "Cn", "Zl", "Zp") for c in shown)
    assert not any(unicodedata.bidirectional(c) in ("LRE", "RLE", "LRO", "RLO", "PDF") for c in shown)


@given(st.recursive(st.none() | st.text(st.characters()), lambda inner: st.dictionaries(st.text(), inner)))
def test_json_that_is_shown_reads_back_as_it_was(value: object) -> None:
    shown = printable_json(value)
    assert json.loads(shown) == value
    assert all(printable(line) == line for line in shown.split("\n"))
