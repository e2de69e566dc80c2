from __future__ import annotations

import random
from pathlib import Path

from tools.captions import Noun, make_captions, pocket_line, read_nouns, tidy_gloss, with_article
from tools.pocket.things import COMMON

NOUNS = [Noun("orange", "round yellow fruit", True), Noun("teapot", "pot for brewing tea", True)]
NOUNS += [Noun(f"thing{k}", "", False) for k in range(50)]

DATA = """  1 This is the licence
00000001 05 n 01 poodle 0 000 | an intelligent dog with a curly coat; "the poodle won"
00000002 15 n 01 Paris 0 000 | the capital of France
00000003 07 n 01 quality 0 000 | an attribute
00000004 18 n 01 cad 0 000 | (disparaging) someone bad
00000005 06 n 02 tea_set 0 tea_service 0 000 | china used to serve (hot) tea
"""
INDEX = """  1 This is the licence
poodle n 1 0 1 1 00000001
paris n 1 0 1 1 00000002
quality n 1 0 1 1 00000003
cad n 1 0 1 0 00000004
tea_set n 1 1 @ 1 0 00000005
"""


def test_nouns_are_visible_things_with_their_first_sense(tmp_path: Path) -> None:
    (tmp_path / "data.noun").write_text(DATA, "ascii")
    (tmp_path / "index.noun").write_text(INDEX, "ascii")
    assert read_nouns(tmp_path) == [
        Noun("poodle", "an intelligent dog with a curly coat", True),
        Noun("tea set", "china used to serve tea", False),
    ]


def test_the_same_seed_gives_the_same_distinct_captions() -> None:
    lines = make_captions(NOUNS, 200, seed=1)
    assert len(set(lines)) == 200
    assert make_captions(NOUNS, 200, seed=1) == lines
    assert make_captions(NOUNS, 200, seed=2) != lines
    assert not any("{" in line or "  " in line for line in lines)


def test_captions_of_the_pocket_world_name_its_things() -> None:
    draw = random.Random(0)
    lines = [pocket_line(draw) for _ in range(50)]
    assert all(any(thing in line for thing in COMMON) for line in lines)


def test_articles_fit_and_glosses_are_tidy() -> None:
    assert with_article("orange cup") == "an orange cup"
    assert with_article("red apple") == "a red apple"
    assert tidy_gloss('A (small) Dog, "barks"; or not') == "a dog"
