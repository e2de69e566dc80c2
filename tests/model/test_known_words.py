"""What a base says it knows: read when it is sound, refused in words when it is not."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from perfusion_core.errors import BaseModelError
from perfusion_core.model.known_words import FILE_NAME, LARGEST_FILE, MOST_PHRASES, read_known_words, words_in
from tests.worded_base import pocket_fields


def put(folder: Path, content: bytes | str | dict[str, Any]) -> Path:
    content = json.dumps(content) if isinstance(content, dict) else content
    (folder / FILE_NAME).write_bytes(content.encode() if isinstance(content, str) else content)
    return folder


def test_a_base_without_the_file_says_nothing(tmp_path: Path) -> None:
    assert read_known_words(tmp_path) is None


def test_what_the_file_holds_is_known_by_group_by_phrase_and_by_word(tmp_path: Path) -> None:
    known = read_known_words(put(tmp_path, pocket_fields()))
    assert known is not None
    assert known.kinds["things"][-1] == "potted plant"
    assert "dog" in known.names
    assert "crown" not in known.names
    assert {"wearing a crown", "in front of a brick wall", "red", "thing"} <= set(known.phrases)
    assert {"crown", "brick", "potted", "plant"} <= known.words
    assert "mug" not in known.words


def test_version_and_kinds_are_enough(tmp_path: Path) -> None:
    known = read_known_words(put(tmp_path, {"version": 1, "kinds": {"all": ["dog"]}}))
    assert known is not None
    assert known.phrases == ("dog",)


def changed(**fields: Any) -> dict[str, Any]:
    return {**pocket_fields(), **fields}


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "JSON"),
        (b"\xff\xfe", "JSON"),
        (b"[]", "object"),
        (b"[" * 100_000, "JSON"),
        (b" " * (LARGEST_FILE + 1), "larger than 128 KB"),
        (changed(version=2), "version"),
        ({"version": 1}, "kinds"),
        (changed(colors=["red"]), "colors"),
        (changed(colours="red"), "colours"),
        (changed(colours=["<b>red</b>"]), "small letters"),
        (changed(places=["on the beach\nat night"]), "small letters"),
        (changed(colours=["Red"]), "small letters"),
        (changed(colours=["red\u202e"]), "small letters"),
        (changed(styles=["a" * 61]), "60"),
        (changed(kinds={"<script>": ["dog"]}), "small letters"),
        (changed(kinds={"all": [7]}), "string"),
        (changed(kinds={f"group {chr(97 + k // 26)}{chr(97 + k % 26)}": ["dog"] for k in range(61)}), "60"),
        (changed(colours=["red"] * MOST_PHRASES), f"at most {MOST_PHRASES}"),
        (changed(instead={"mug": "goblet"}), "goblet"),
    ],
)
def test_a_file_that_cannot_be_is_refused_by_name_and_reason(
    tmp_path: Path, content: bytes | dict[str, Any], reason: str
) -> None:
    with pytest.raises(BaseModelError, match=reason) as refused:
        read_known_words(put(tmp_path, content))
    assert FILE_NAME in str(refused.value)
    assert tmp_path.name in str(refused.value)


def test_what_is_no_plain_file_is_never_opened(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / FILE_NAME)
    with pytest.raises(BaseModelError, match="not a plain file"):
        read_known_words(tmp_path)
    (tmp_path / FILE_NAME).unlink()
    (tmp_path / FILE_NAME).mkdir()
    with pytest.raises(BaseModelError, match="not a plain file"):
        read_known_words(tmp_path)


def test_words_are_compared_in_small_letters_and_numbers_are_none() -> None:
    assert words_in("A close-up of 3 DOGS, don't you see?") == [
        "a",
        "close-up",
        "of",
        "dogs",
        "don't",
        "you",
        "see",
    ]
