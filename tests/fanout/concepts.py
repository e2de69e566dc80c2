"""Small manifests with photos, and what a concept is that was taught alone."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from PIL import Image, ImageDraw

from perfusion_core.fanout.loaded_base import BaseSetup
from perfusion_core.studio.library.library import Library
from perfusion_core.studio.teaching.run import TeachRequest, begin_teaching, teach
from tests.quick_recipe import QUICK

COLOURS = ("brown", "orange", "green", "purple", "navy", "crimson")
NAMES = ("ada", "bea", "cleo", "dora", "eve", "fay")


def make_photos(folder: Path, names: Sequence[str] = NAMES) -> None:
    for number, name in enumerate(names):
        (folder / name).mkdir(parents=True)
        for k in (0, 1):
            image = Image.new("RGB", (96, 80), "lightblue")
            ImageDraw.Draw(image).ellipse((24, 20, 72 + 3 * k, 60), fill=COLOURS[number])
            image.save(folder / name / f"{k}.png")


def make_hostile(folder: Path) -> None:
    """A photo that its header promises and its bytes do not keep."""
    photo = folder / "0.png"
    photo.write_bytes(photo.read_bytes()[:150])


def write_lines(path: Path, names: Sequence[str] = NAMES, **settings: Any) -> Path:
    lines = [
        {"name": name, "superclass": "dog", "photos": name, "mask": "none", **QUICK, "seed": k, **settings}
        for k, name in enumerate(names)
    ]
    path.write_text("\n".join(map(json.dumps, lines)), "utf-8")
    return path


def taught_alone(base: Path, photos: Path, name: str, home: Path, **settings: Any) -> Any:
    """The concept as the app teaches it, with one thread, in this process."""
    loaded = BaseSetup(str(base), home / "models", device="cpu", threads=1, cache=home / "cache").load()
    asked = TeachRequest(
        photos=[photos / name], name=name, superclass="dog", mask="none", settings={**QUICK, **settings}
    )
    library = Library(home)
    entry = teach(library, loaded, begin_teaching(library, asked)).entry
    assert entry is not None
    return entry.load()


def same(concept: Any, alone: Any) -> bool:
    """Bit for bit, but for the moment it was made."""
    return (
        concept.content_hash == alone.content_hash
        and concept.metadata.scores == alone.metadata.scores
        and concept.metadata.bias == alone.metadata.bias
        and concept.metadata.recipe == alone.metadata.recipe
    )


def log_of(out: Path) -> list[dict[str, Any]]:
    if not (out / "log.jsonl").exists():
        return []
    return [json.loads(line) for line in (out / "log.jsonl").read_text("utf-8").splitlines()]


def wait_for(what: Callable[[], bool], driver: Any = None) -> None:
    until = time.monotonic() + 900
    while not what():
        assert driver is None or driver.poll() is None, "the driver ended too early"
        assert time.monotonic() < until, "waited a quarter of an hour"
        time.sleep(0.02)
