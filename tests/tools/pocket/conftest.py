"""A work folder with made-up sprites, so that the renderer is tested without a download."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image, ImageDraw

from tools.pocket.domain import ACCESSORIES, CLASSES
from tools.pocket.mask_kin import KIN
from tools.pocket.sources import SPRITES
from tools.pocket.sprites import held_out


@pytest.fixture(scope="session")
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Sprites of every code: a coloured disc on nothing."""
    folder = tmp_path_factory.mktemp("pocket")
    package = folder / "npm" / f"{SPRITES.folder}-{SPRITES.version}"
    (package / "assets").mkdir(parents=True)
    (package / "package.json").write_text("{}")
    picture = Image.new("RGBA", (64, 64))
    ImageDraw.Draw(picture).ellipse((12, 8, 52, 60), fill=(200, 120, 60, 255))
    codes = {code for sprites in CLASSES.values() for code in sprites} | set(ACCESSORIES.values())
    codes |= {code for kin in KIN.values() for code in kin}
    for code in codes | set(held_out()):
        picture.save(package / "assets" / f"{code}.webp", lossless=True)
    return folder
