"""Squares and masks under a person's hands."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from perfusion_core.errors import PerfusionError
from perfusion_core.studio.app import Studio
from perfusion_core.studio.teaching import staging as staging_module
from perfusion_core.studio.teaching.mask_editor import SIDE, Frame, Table, apply, open_photo, recut
from perfusion_core.studio.teaching.run import TeachRequest, begin_teaching
from perfusion_core.studio.teaching.run_folder import RunFolder
from perfusion_core.studio.teaching.staging import (
    PAINTED_FOR,
    Look,
    stage,
    staged_again,
    staging_file,
    with_masks,
)

DOG = Look("dog")


@pytest.fixture
def studio(settings: Any, loaded: Any) -> Studio:
    made = Studio(settings)
    made.bases._current = (settings.base, loaded)
    return made


def painted(layer: Image.Image, box: tuple[int, int, int, int]) -> Image.Image:
    """As an image editor gives a layer back on which only `box` is left painted."""
    changed = Image.new("RGBA", layer.size)
    changed.paste((200, 69, 43, 140), box)
    return changed


def opacity(table: Table, place: tuple[int, int]) -> int:
    """Of the layer at (x, y), in 0..255."""
    return int(np.asarray(table.layer)[place[1], place[0], 3])


@given(st.floats(-1, 9), st.floats(-1, 2), st.floats(-1, 2), st.integers(1, 900), st.integers(1, 900))
def test_a_frame_is_always_a_square_inside_the_photo(
    zoom: float, across: float, down: float, width: int, height: int
) -> None:
    left, top, right, bottom = Frame(zoom, across, down).box((width, height))
    assert 0 <= left < right <= width
    assert 0 <= top < bottom <= height
    assert right - left == bottom - top


def test_a_frame_read_from_a_square_gives_that_square_again() -> None:
    box = (30, 12, 70, 52)
    assert Frame.of(box, (96, 80)).box((96, 80)) == box


def test_what_is_only_looked_at_stays_as_it_was_found(studio: Studio, photos: list[Path]) -> None:
    one = stage(studio.staging, photos)[0]
    table = open_photo(studio.staging, one, 0, DOG)
    assert table.layer.size == table.square.size == (SIDE, SIDE)
    after = apply(studio.staging, one, table.opened, table.layer)
    assert (after.crop, after.mask) == (None, "")


def test_a_painted_mask_is_kept_with_its_square_and_comes_back_on_the_table(
    studio: Studio, photos: list[Path]
) -> None:
    one = stage(studio.staging, photos)[0]
    table = open_photo(studio.staging, one, 0, DOG)
    after = apply(studio.staging, one, table.opened, painted(table.layer, (0, 0, 128, 128)))
    assert after.crop == table.opened.crop
    with Image.open(after.mask) as kept:
        mask = np.asarray(kept)
    assert mask[:128, :128].min() == 255
    assert int((mask > 0).sum()) == 128 * 128
    again = open_photo(studio.staging, after, 0, DOG)
    assert again.opened.painted
    assert opacity(again, (5, 5)) == 140
    assert opacity(again, (300, 300)) == 0


def test_a_painted_mask_stays_while_what_can_be_made_again_makes_way_and_goes_after_a_month(
    studio: Studio, photos: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(staging_module, "KEPT", 3)
    one = stage(studio.staging, photos)[0]
    table = open_photo(studio.staging, one, 0, DOG)
    after = apply(studio.staging, one, table.opened, painted(table.layer, (0, 0, 128, 128)))
    for _ in range(10):
        staging_file(studio.staging, Image.new("RGB", (8, 8)), "thumbnails")
        staging_file(studio.staging, Image.new("L", (8, 8)), "masks")
    assert not Path(one.thumbnail).exists()
    assert not Path(table.opened.mask).exists()
    again = open_photo(studio.staging, after, 0, DOG)
    assert again.opened.painted
    assert (opacity(again, (5, 5)), opacity(again, (300, 300))) == (140, 0)

    month = time.time() - PAINTED_FOR
    os.utime(after.mask, (month + 3600, month + 3600))
    staging_file(studio.staging, Image.new("L", (8, 8)), "painted")
    assert Path(after.mask).exists()
    os.utime(after.mask, (month - 3600, month - 3600))
    newer = staging_file(studio.staging, Image.new("L", (8, 8)), "painted")
    assert not Path(after.mask).exists()
    assert newer.exists()


def test_nothing_left_to_learn_from_is_refused(studio: Studio, photos: list[Path]) -> None:
    one = stage(studio.staging, photos)[0]
    table = open_photo(studio.staging, one, 0, DOG)
    with pytest.raises(PerfusionError, match="Nothing is painted"):
        apply(studio.staging, one, table.opened, None)


def test_a_found_mask_is_found_anew_in_another_square(studio: Studio, photos: list[Path]) -> None:
    one = stage(studio.staging, photos)[0]
    table = recut(
        studio.staging,
        open_photo(studio.staging, one, 0, DOG).opened,
        None,
        Frame(2.0, 0.0, 0.0),
        Look("", "none"),
    )
    assert table.opened.crop == (0, 0, 40, 40)
    table = open_photo(studio.staging, one, 0, DOG)
    table = recut(studio.staging, table.opened, table.layer, Frame(2.0, 0.0, 0.0), DOG)
    assert not table.opened.painted
    assert opacity(table, (SIDE // 2, SIDE // 2)) == 140  # the segmenter sees the middle
    after = apply(studio.staging, one, table.opened, table.layer)
    assert (after.crop, after.mask) == ((0, 0, 40, 40), "")


def test_what_was_painted_stays_where_it_is_in_the_photo(studio: Studio, photos: list[Path]) -> None:
    one = stage(studio.staging, photos)[0]  # 96 x 80: its square begins at 8
    table = open_photo(studio.staging, one, 0, DOG)
    assert table.opened.crop == (8, 0, 88, 80)
    left_half = painted(table.layer, (0, 0, SIDE // 2, SIDE))
    moved = recut(studio.staging, table.opened, left_half, Frame(2.0, 28 / 56, 0.5), DOG)
    assert moved.opened.crop == (28, 20, 68, 60)  # the painted half ends at 48, its middle
    assert opacity(moved, (SIDE // 4, SIDE // 2)) == 140
    assert opacity(moved, (3 * SIDE // 4, SIDE // 2)) == 0


def test_teaching_again_begins_with_the_same_squares_and_masks(studio: Studio, photos: list[Path]) -> None:
    first, second = stage(studio.staging, photos)
    table = open_photo(studio.staging, first, 0, DOG)
    first = apply(studio.staging, first, table.opened, painted(table.layer, (0, 0, 128, 512)))
    asked = TeachRequest(
        [first.source, second.source], "rex", "dog", masks=[first.mask, None], crops=[first.crop, None]
    )
    run = RunFolder(begin_teaching(studio.library, asked))
    again, said = with_masks(studio.staging, staged_again(studio.staging, run), DOG)
    assert said == ""
    assert [one.crop for one in again] == [first.crop, None]
    assert [bool(one.mask) for one in again] == [True, False]
    assert [one.name for one in again] == ["photo 0.png", "photo 1.png"]
