"""Where images are kept: numbered folders and files, so that nothing is ever replaced."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from perfusion_core.files import explained, lies_in, make_folder, write_atomic
from perfusion_core.studio.creating.contact_sheet import sheet

if TYPE_CHECKING:
    from PIL import Image

    from perfusion_core.sampling.request import GenerationRequest

WAY_OUT = "Choose another one, with --out or in Settings."


def make_out(out: Path, home: Path) -> Path:
    """Make a folder for images where it is missing, private to the user where it lies in the data folder
    `home`. Raises `PerfusionError`.
    """
    return make_folder(out, WAY_OUT, private=lies_in(out, home))


def free_folder(out: Path, kind: str, request: GenerationRequest, home: Path) -> Path:
    """A new folder in `out` for what `request` makes, as `make_out` makes it. Raises `PerfusionError`."""
    folder = out / f"{next_number(out):05d}-{kind}-seed{request.seed}-{slug(request.prompt)}"
    return make_out(folder, home)


def next_number(out: Path) -> int:
    """One more than the highest number a file or folder in `out` begins with, so that nothing is replaced."""
    with explained(f"The folder {out} cannot be read", WAY_OUT):
        if not out.is_dir():
            return 1
        numbers: list[Any] = [re.match(r"(\d{5,9})-", child.name) for child in out.iterdir()]
    return 1 + max((int(found[1]) for found in numbers if found), default=0)


def slug(prompt: str) -> str:
    """A prompt as part of a file name that every system takes."""
    words = re.sub(r"[^a-z0-9]+", "-", prompt.lower()).strip("-")
    return words[:40].rstrip("-") or "image"


def save_sheet(
    path: Path,
    images: Sequence[Image.Image],
    captions: Sequence[str],
    columns: int,
    title: str,
    marked: int | None = None,
) -> Path:
    """Keep images as one contact sheet."""
    from perfusion_core.sampling.png import png_bytes

    page = sheet(images, captions, max(1, columns), title=title, marked=marked)
    write_atomic(path, png_bytes(page))
    return path
