"""Where the page writes how long a slider's picture took."""

from __future__ import annotations

import json
from html import unescape
from pathlib import Path

from perfusion_core.ui.create.concept_sliders import live_time


def test_the_place_says_which_positions_and_which_picture_it_is_for() -> None:
    positions = {"biscuit": 63.0, "l'été \"<b>": 0.0}
    place = live_time(positions, Path("/cache/0001 <x>.png"))
    attributes = place.split("'") if "='" in place else place.split('"')
    said = dict(zip([part.split()[-1] for part in attributes[:-1:2]], attributes[1::2], strict=True))
    assert json.loads(unescape(said["data-at="])) == positions
    assert unescape(said["data-image="]) == "0001 <x>.png"
    assert "<b>" not in place
