"""The example photos."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from tools.pocket import make_examples
from tools.pocket.make_examples import EXAMPLES, TUNING, make
from tools.pocket.render import Renderer
from tools.pocket.things import NUMBER, held_out


def test_every_example_is_a_held_out_thing_that_is_judged() -> None:
    judged = {thing.name for thing in held_out().values() if thing.role == "judged"}
    assert {example.thing for example in EXAMPLES} <= judged
    assert len({example.name for example in EXAMPLES}) == len(EXAMPLES) == 12


def test_settings_are_chosen_on_things_that_are_no_example_and_never_judged() -> None:
    roles = {thing.name: thing.role for thing in held_out().values()}
    assert [roles[example.thing] for example in TUNING] == ["tuning", "tuning"]


def test_same_seed_writes_the_same_photos_and_says_where_they_come_from(
    work: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    book = Renderer(work, refuse=False).book
    monkeypatch.setattr(
        make_examples, "sprite", lambda art, code, work: book[torch.tensor([NUMBER[art, code]])]
    )
    example = next(example for example in EXAMPLES if example.art == "cartoon")
    for name in ("one", "two"):
        make(example, tmp_path / name, work, seed=0)
    for number in range(1, 6):
        first, second = (tmp_path / name / example.name / f"{number}.jpg" for name in ("one", "two"))
        assert first.read_bytes() == second.read_bytes()
    about = json.loads((tmp_path / "one" / example.name / "about.json").read_text())
    assert (about["name"], about["source"]["package"]) == (example.name, "@svgmoji/noto")
    assert "Apache" in about["licence"]
