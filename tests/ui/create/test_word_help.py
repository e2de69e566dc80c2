"""The words beside the prompt, and the note under it."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from perfusion_core.model.known_words import FILE_NAME
from perfusion_core.sampling.request import LONGEST_PROMPT
from perfusion_core.studio.app import Studio
from perfusion_core.studio.settings import Settings
from perfusion_core.ui.create.word_help import doubts, panel
from tests.worded_base import pocket_words, worded


@pytest.fixture
def studio(tmp_path: Path) -> Studio:
    (tmp_path / "plain").mkdir()
    return Studio(Settings(home=tmp_path, base=str(worded(tmp_path / "plain", tmp_path / "worded"))))


def test_every_phrase_can_be_clicked_once(studio: Studio) -> None:
    known = pocket_words()
    clickable = re.findall(r'data-phrase="([^"]*)"', panel(studio))
    expected = [*known.names, *known.colours, *known.wearing, *known.places, *known.styles, *known.joints]
    assert sorted(clickable) == sorted(expected)


def test_a_base_that_says_nothing_has_neither_words_nor_notes(tmp_path: Path) -> None:
    studio = Studio(Settings(home=tmp_path, base=str(tmp_path)))
    assert panel(studio) == ""
    assert doubts(studio, "a photo of three wizards") == ""


def test_a_list_that_cannot_be_used_is_told_where_the_words_would_be(studio: Studio) -> None:
    (Path(studio.settings.base) / FILE_NAME).write_text(
        json.dumps({"version": 1, "kinds": {"<img>": ["dog"]}})
    )
    assert FILE_NAME in panel(studio)
    assert "<img>" not in panel(studio)
    assert doubts(studio, "a photo of three wizards") == ""


def test_the_note_names_unknown_words_and_offers_the_one_meant(studio: Studio) -> None:
    said = doubts(studio, "a photo of dogs riding a hors")
    assert 'data-word="dogs" data-instead="dog"' in said
    assert 'data-word="hors" data-instead="horse"' in said
    assert "does not know “riding”: the picture may come without it." in said
    assert doubts(studio, "a photo of a wizard and a genie").count("“wizard” and “genie”") == 1
    assert doubts(studio, "a photo of <biscuit> wearing a crown on the beach") == ""
    assert doubts(studio, None) == ""


def test_of_a_prompt_over_the_limit_only_its_beginning_is_read(studio: Studio) -> None:
    assert doubts(studio, "a dog " * (LONGEST_PROMPT // 6 + 1) + "wizard") == ""
