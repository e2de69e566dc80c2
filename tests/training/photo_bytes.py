"""Photos as bytes, and what becomes of them."""

from __future__ import annotations

import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from perfusion_core.errors import PhotoError
from perfusion_core.training.photos import Photo, load_photos


def image(width: int = 96, height: int = 96, seed: int = 0) -> Image.Image:
    """Smooth colours with a red left and a blue right, so that turning and cropping can be seen."""
    x = np.linspace(0, 1, width)[None, :, None]
    y = np.linspace(0, 1, height)[:, None, None]
    channels = np.concatenate([1 - x + 0 * y, y + 0 * x, x + 0 * y], axis=2) * (255 - seed % 7)
    return Image.fromarray(channels.astype(np.uint8))


def encoded(image: Image.Image, kind: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def only(data: bytes, name: str = "photo.png") -> Photo:
    (photo,) = load_photos([(name, data)])
    return photo


def refusal(data: bytes, name: str = "photo.png") -> str:
    with pytest.raises(PhotoError) as caught:
        load_photos([(name, data)])
    assert name in str(caught.value)
    return str(caught.value)


def png_header_only(width: int, height: int) -> bytes:
    """A PNG that claims a size and has hardly any data: a decompression bomb as seen from its header."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(b"\0" * 64))
        + chunk(b"IEND", b"")
    )
