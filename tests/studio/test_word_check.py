"""Words that mean nothing to a base, and what was probably meant."""

from __future__ import annotations

from pathlib import Path

import pytest

from perfusion_core.errors import BaseModelError
from perfusion_core.model.known_words import FILE_NAME, KnownWords
from perfusion_core.studio.settings import Settings
from perfusion_core.studio.word_check import (
    MOST_TOLD,
    UnknownWord,
    known_words,
    unknown_kind,
    unknown_words,
    usable_words,
)
from tests.worded_base import pocket_fields, pocket_words, worded

KNOWN = pocket_words()


def told(prompt: str) -> dict[str, str]:
    return {one.word: one.meant for one in unknown_words(prompt, KNOWN)}


def test_every_caption_of_known_phrases_is_known() -> None:
    assert told("A photo of a red dog wearing a top hat next to the cat on the beach") == {}
    assert told("a black and white photo of my potted plant, in front of a brick wall") == {}


def test_concepts_function_words_and_numbers_are_never_told() -> None:
    assert told("a photo of <teapot:0.6> and <wizard> with 3 x, under it") == {}
    assert told("") == {}


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("dogs", "dog"),
        ("Butterflies", "butterfly"),
        ("boxes", ""),
        ("hors", "horse"),
        ("elefant", ""),
        ("umbrela", "umbrella"),
        ("gutiar", "guitar"),
        ("bicycle", ""),
        ("plane", "airplane"),
        ("mug", "cup"),
        ("grases", "grass"),
        ("two", ""),
        ("owl", ""),
        ("wizard", ""),
    ],
)
def test_a_plural_a_slip_or_another_word_for_it_leads_to_the_known_one(written: str, meant: str) -> None:
    assert told(f"a photo of {written} in the snow") == {written.lower(): meant}


def test_numbers_in_words_are_no_slips_of_other_words() -> None:
    tree = KnownWords(version=1, kinds={"all": ("tree", "foal")})
    assert [one.meant for one in unknown_words("three four", tree)] == ["", ""]


def test_only_the_first_words_are_told_and_each_once() -> None:
    words = [f"wo{letter}rd" for letter in "bcdefghijkl"]
    assert [*told(" ".join(words * 2))] == words[:MOST_TOLD]


@pytest.mark.parametrize("kind", ["dog", " Dog ", "potted plant", "POTTED  plant", "thing", ""])
def test_a_kind_in_the_list_is_known(kind: str) -> None:
    assert unknown_kind(kind, KNOWN) is None


@pytest.mark.parametrize(
    ("kind", "meant"),
    [
        ("teddy bear", "bear"),
        ("guard dog", "dog"),
        ("my cats", "cat"),
        ("blue mug", "cup"),
        ("gitar", "guitar"),
        ("crown", ""),
        ("fire engine", ""),
        ("plant", "potted plant"),
        ("strange thing", "thing"),
    ],
)
def test_a_kind_that_is_not_known_leads_to_the_nearest_that_is(kind: str, meant: str) -> None:
    assert unknown_kind(kind, KNOWN) == UnknownWord(kind, meant)


def test_the_words_are_those_of_the_base_in_use(tmp_path: Path) -> None:
    (tmp_path / "plain").mkdir()
    worded(tmp_path / "plain", tmp_path / "models" / "worded")
    models = tmp_path / "models"
    found = known_words(Settings(home=tmp_path, base="worded", models_dir=models))
    assert found is not None
    assert list(found.kinds) == list(pocket_fields()["kinds"])
    assert known_words(Settings(home=tmp_path, base=str(models / "worded"))) == found
    for other in (str(tmp_path / "plain"), "nowhere", "someone/else", str(models / "worded" / FILE_NAME)):
        assert known_words(Settings(home=tmp_path, base=other)) is None


def test_a_damaged_list_is_told_or_done_without(tmp_path: Path) -> None:
    (tmp_path / FILE_NAME).write_text("{")
    settings = Settings(home=tmp_path, base=str(tmp_path))
    with pytest.raises(BaseModelError, match=FILE_NAME):
        known_words(settings)
    assert usable_words(settings) is None
