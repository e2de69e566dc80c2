"""The example photos."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import torch

from tools.pocket.make_examples import EXAMPLES, PHOTOS, draw_photo, make, sprite
from tools.pocket.sprites import held_out


def test_every_example_is_a_held_out_thing() -> None:
    assert {example.code for example in EXAMPLES} <= set(held_out())
    assert len({example.name for example in EXAMPLES}) == len(EXAMPLES) == 8


def test_same_seed_writes_the_same_photos_and_says_where_they_come_from(work: Path, tmp_path: Path) -> None:
    for name in ("one", "two"):
        make(EXAMPLES[0], tmp_path / name, work, seed=0)
    for number in range(1, PHOTOS + 1):
        first, second = (tmp_path / name / "poodle" / f"{number}.jpg" for name in ("one", "two"))
        assert first.read_bytes() == second.read_bytes()
    about = json.loads((tmp_path / "one" / "poodle" / "about.json").read_text())
    assert (about["name"], about["superclass"], about["licence"]) == ("poodle", "dog", "MIT")


def test_flipped_photo_shows_the_mirrored_sprite(work: Path) -> None:
    thing = sprite("1f429", work)
    thing[..., : thing.shape[-1] // 2] = 0  # only the right half is left
    centres = []
    for flipped in (False, True):
        _, mask = draw_photo(thing, "plain white", np.random.default_rng(0), flipped)
        columns = mask[0].sum(0)
        centres.append(float((columns * torch.arange(256)).sum() / columns.sum()))
    assert centres[0] - centres[1] > 40
