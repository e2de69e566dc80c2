"""words.json of the second pocket base tells what its captions hold, no more and no less."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from perfusion_core.model.known_words import FILE_NAME, read_known_words
from perfusion_core.studio.word_check import FUNCTION_WORDS, unknown_kind, unknown_words
from tools.pocket import words
from tools.pocket.render import Renderer
from tools.pocket.scene import Odds, caption
from tools.pocket.table import draw_scene
from tools.pocket.things import all_kinds, held_out, kinds
from tools.pocket.train_tokenizer import caption_words


def test_every_kind_trained_on_is_listed_once_and_no_held_out_one() -> None:
    names = words.pocket_words().names
    assert sorted(names) == sorted(kind.name for kind in kinds())
    assert not {thing.name for thing in held_out().values()} & set(names)


def test_every_group_of_the_kinds_has_its_place_in_one_group_of_words() -> None:
    placed = [group for groups in words.GROUPS.values() for group in groups]
    assert sorted(placed) == sorted({kind.group for kind in all_kinds()})


def test_captions_hold_only_words_that_are_listed(renderer: Renderer) -> None:
    known, rng = words.pocket_words(), np.random.default_rng(0)
    for _ in range(400):
        told = str(caption(draw_scene(rng, Odds(), renderer.world), rng))
        assert unknown_words(told, known) == []


def test_words_that_are_listed_are_words_of_captions() -> None:
    parts = {part for word in words.pocket_words().words for part in word.split("-")}
    assert parts - FUNCTION_WORDS <= set(caption_words())


def test_what_is_held_out_leads_to_the_kind_it_is_taught_as() -> None:
    known = words.pocket_words()
    for thing in held_out().values():
        unknown = unknown_kind(thing.name, known)
        assert unknown is not None
        assert unknown.meant == thing.superclass


def test_the_file_is_read_back_as_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(words, "split_words", lambda *_: [])
    monkeypatch.setattr("sys.argv", ["words", "--to", str(tmp_path)])
    words.main()
    assert read_known_words(tmp_path) == words.pocket_words()


def test_a_base_whose_tokenizer_splits_a_word_gets_no_file(
    tiny_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.argv", ["words", "--to", str(tiny_folder)])
    with pytest.raises(SystemExit, match="airplane"):
        words.main()
    assert not (tiny_folder / FILE_NAME).exists()
    assert "dog" not in words.split_words(tiny_folder, words.pocket_words())
