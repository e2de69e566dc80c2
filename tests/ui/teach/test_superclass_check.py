"""What is suggested for the kind of thing, and what is said of the word given."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from perfusion_core.model.known_words import FILE_NAME
from perfusion_core.studio.app import Studio
from perfusion_core.studio.settings import Settings
from perfusion_core.ui.teach.superclass_check import COMMON_KINDS, suggestions, superclass_check
from tests.worded_base import pocket_fields, pocket_words, worded


@pytest.fixture
def studio(tmp_path: Path) -> Studio:
    (tmp_path / "plain").mkdir()
    return Studio(Settings(home=tmp_path, base=str(worded(tmp_path / "plain", tmp_path / "worded"))))


def test_all_that_the_base_knows_is_suggested_single_words_first(studio: Studio) -> None:
    names = suggestions(studio)
    known = pocket_words()
    assert sorted(names) == sorted([*known.names, *known.generic])
    assert names[-1] == "potted plant"


def test_a_name_comes_before_every_longer_one_that_holds_it(studio: Studio) -> None:
    fields = {**pocket_fields(), "kinds": {"all": ["donkey", "steak", "tea", "key", "hot dog", "dog"]}}
    (Path(studio.settings.base) / FILE_NAME).write_text(json.dumps({**fields, "generic": [], "instead": {}}))
    names = suggestions(studio)
    for short, long in (("key", "donkey"), ("tea", "steak"), ("dog", "hot dog")):
        assert names.index(short) < names.index(long)


def test_a_base_that_says_nothing_gets_common_words(tmp_path: Path) -> None:
    studio = Studio(Settings(home=tmp_path, base=str(tmp_path)))
    assert suggestions(studio) == COMMON_KINDS
    assert superclass_check(studio, "mug") == ""  # only its tokenizer could tell


def test_a_listed_kind_is_known_before_the_base_is_loaded(studio: Studio) -> None:
    assert studio.base is None
    assert "knows the word “potted plant”" in superclass_check(studio, "potted plant")
    assert superclass_check(studio, "") == ""


def test_another_kind_leads_to_a_known_one_and_is_never_refused(studio: Studio) -> None:
    said = superclass_check(studio, "teddy bear")
    assert "does not know the word “teddy bear”" in said
    assert 'data-instead="bear"' in said
    assert "said-problem" not in said
    lost = superclass_check(studio, "<b>quark</b>")
    assert "Choose the nearest kind in the list, or “thing”." in lost
    assert "<b>" not in lost
