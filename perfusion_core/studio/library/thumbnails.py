"""The small images on library cards."""

from __future__ import annotations

import base64
import binascii
import io
import os
import stat
from pathlib import Path
from typing import TYPE_CHECKING

from perfusion_core.concept_metadata import LARGEST_THUMBNAIL_SIDE
from perfusion_core.webp_header import webp_size

if TYPE_CHECKING:
    from PIL import Image

CARD_SIDE = 256
EMBEDDED_SIDE = 96
LARGEST_CARD = 2**20  # bytes; a card of ours has at most a quarter of that


def card_bytes(image: Image.Image) -> bytes:
    """A PNG for the library's own folder."""
    return _small(image, CARD_SIDE, "PNG")


def is_card(path: Path) -> bool:
    """Whether a file can be a card written here: a file of its own, not a link, and not too large."""
    try:
        status = os.lstat(path)
    except OSError:
        return False
    return stat.S_ISREG(status.st_mode) and status.st_size <= LARGEST_CARD


def read_card(path: Path | None) -> Image.Image | None:
    """A card's image, decoded; None where there is none or it is damaged."""
    if path is None:
        return None
    from PIL import Image

    try:
        with Image.open(path, formats=["PNG"]) as image:
            return image.convert("RGB") if max(image.size) <= LARGEST_THUMBNAIL_SIDE else None
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        return None


def embedded(image: Image.Image) -> str:
    """A few kB of WebP in base64, to travel inside a concept file."""
    return base64.b64encode(_small(image, EMBEDDED_SIDE, "WEBP")).decode()


def from_embedded(text: str | None) -> Image.Image | None:
    """The image inside an untrusted concept file; None when it is not an image or too large."""
    if text is None:
        return None
    from PIL import Image

    try:
        content = base64.b64decode(text)
        if max(webp_size(content)) > LARGEST_THUMBNAIL_SIDE:  # before any library sees it
            return None
        with Image.open(io.BytesIO(content), formats=["WEBP"]) as image:
            return image.convert("RGB")
    except (binascii.Error, OSError, ValueError, SyntaxError, EOFError, Image.DecompressionBombError):
        return None  # a concept without an image is still a concept


def _small(image: Image.Image, side: int, kind: str) -> bytes:
    small = image.convert("RGB")
    small.thumbnail((side, side))
    buffer = io.BytesIO()
    small.save(buffer, format=kind)
    return buffer.getvalue()
