"""Photos shown before they are learned from."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from perfusion_core.errors import PhotoError
from perfusion_core.studio.app import Studio
from perfusion_core.studio.bases import Missing
from perfusion_core.studio.teaching.example_photos import example_set, example_sets
from perfusion_core.studio.teaching.staging import Look, overlay, stage, with_masks


@pytest.fixture
def studio(settings: Any, loaded: Any) -> Studio:
    made = Studio(settings)
    made.bases._current = (settings.base, loaded)
    return made


def test_photos_become_square_thumbnails_under_names_of_our_own(studio: Studio, photos: list[Path]) -> None:
    staged = stage(studio.staging, [*photos, photos[0]])
    assert [one.source for one in staged] == [str(path) for path in photos]
    assert "same picture" in staged[0].warnings[0]
    with Image.open(staged[0].thumbnail) as image:
        assert image.width == image.height
    assert "photo" not in Path(staged[0].thumbnail).name


def test_what_is_no_photo_is_named_and_refused(studio: Studio, tmp_path: Path) -> None:
    bad = tmp_path / "menu.jpg"
    bad.write_bytes(b"%PDF-1.4")
    with pytest.raises(PhotoError, match=r"menu\.jpg"):
        stage(studio.staging, [bad])


def test_masks_pale_what_is_not_learned_from(studio: Studio, photos: list[Path]) -> None:
    staged, said = with_masks(studio.staging, stage(studio.staging, photos), Look("dog"))
    assert all(one.masked for one in staged)
    assert said == ""


def test_without_a_segmenter_the_photos_stay_and_it_is_said(
    studio: Studio, loaded: Any, photos: list[Path]
) -> None:
    loaded.__dict__["segmenter"] = Missing("It is not here.")
    before = stage(studio.staging, photos)
    staged, said = with_masks(studio.staging, before, Look("dog"))
    assert not any(one.masked for one in staged)
    assert "It is not here." in said


def test_the_subject_keeps_its_colours_in_an_overlay() -> None:
    image = Image.new("RGB", (4, 4), (10, 20, 30))
    mask = np.zeros((4, 4))
    mask[0, 0] = 1
    shown = overlay(image, mask)
    assert shown.getpixel((0, 0)) == (10, 20, 30)
    assert shown.getpixel((3, 3)) != (10, 20, 30)


def test_the_example_sets_have_photos_a_title_and_a_kind() -> None:
    sets = example_sets()
    assert len(sets) >= 2
    assert all(one.photos and one.title and one.superclass for one in sets)
    assert example_set(sets[0].name) == sets[0]
    assert example_set("../etc") is None
