"""The buttons on the photos of a teaching."""

from __future__ import annotations

import re
from pathlib import Path

from perfusion_core.studio.teaching.staging import Staged
from perfusion_core.ui.served import Served
from perfusion_core.ui.teach.photo_strip import clicked, thumbnails

PHOTOS = [Staged(f"/photos/{name}.jpg", f"{name}.jpg", f"/photos/{name}.png") for name in "abc"]


def test_clicks_on_photos_of_before_find_them_where_they_are_now(tmp_path: Path) -> None:
    strip = thumbnails(PHOTOS, Served(tmp_path / "served"))
    buttons = re.findall(r'data-pick="(\d)" data-photo="(\w+)"', strip)
    assert buttons == re.findall(r'data-open="(\d)" data-photo="(\w+)"', strip)
    (_, first), (place, second), (_, third) = buttons
    assert clicked(PHOTOS, int(place), second) == 1
    assert clicked(PHOTOS[1:], int(place), second) == 0  # the first was left out meanwhile
    assert clicked(PHOTOS[1:], 0, first) is None
    assert clicked(PHOTOS[:1], 2, third) is None
    assert "/photos/" not in re.sub(r'src="[^"]*"', "", strip)


def test_of_the_same_photo_twice_the_one_that_was_clicked_is_meant(tmp_path: Path) -> None:
    twice = [PHOTOS[0], PHOTOS[0]]
    keys = re.findall(r'data-pick="\d" data-photo="(\w+)"', thumbnails(twice, Served(tmp_path / "served")))
    assert clicked(twice, 1, keys[1]) == 1
