"""The one picture of all that was taught."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from PIL import Image

from tools.pocket.evaluate_teaching import PROMPTS
from tools.pocket.overview import CELL, GAP, main, overview


def contact_sheet(recommended: str) -> Image.Image:
    """Photos in blue, the photos' end in white, the recommended bias in a colour; two seeds a prompt."""
    page = Image.new("RGB", (2 * len(PROMPTS) * 32, 96), "white")
    page.paste(Image.new("RGB", (5 * 32, 32), "blue"), (0, 0))
    for prompt in range(len(PROMPTS)):  # the second seed stays black
        page.paste(Image.new("RGB", (64, 32), "black"), (64 * prompt, 64))
        page.paste(Image.new("RGB", (32, 32), recommended), (64 * prompt, 64))
    return page


def test_a_row_is_a_photo_and_the_first_seed_at_the_recommended_bias() -> None:
    page = overview([contact_sheet("red"), contact_sheet("green"), contact_sheet("yellow")])
    width = len(PROMPTS) * CELL  # a photo, and all prompts but one
    assert page.size == (2 * width + GAP, 2 * CELL)
    middles = [
        [page.getpixel((x + CELL // 2, y + CELL // 2)) for x in (0, CELL, width - CELL)] for y in (0, CELL)
    ]
    blue, red, green = (0, 0, 255), (255, 0, 0), (0, 128, 0)
    assert middles == [[blue, red, red], [blue, green, green]]
    assert page.getpixel((width + GAP + CELL + CELL // 2, CELL // 2)) == (255, 255, 0)


def test_a_folder_without_sheets_is_told_what_to_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        sys, "argv", ["overview", "--taught", str(tmp_path), "--out", str(tmp_path / "a.jpg")]
    )
    with pytest.raises(SystemExit, match=r"run tools\.pocket\.evaluate_teaching first"):
        main()
