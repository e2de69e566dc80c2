"""The image inside a concept file, which may be anyone's."""

from __future__ import annotations

import base64
import io
import tracemalloc
from collections.abc import Callable
from typing import Any

import pytest
from PIL import Image

from perfusion_core.concept import ConceptMetadata
from perfusion_core.errors import ConceptError
from perfusion_core.studio.library.thumbnails import from_embedded
from perfusion_core.webp_header import webp_size

KINDS: dict[str, dict[str, Any]] = {
    "lossy": {},
    "lossless": {"lossless": True},
    "extended": {"exif": b"Exif\0\0MM\0*\0\0\0\x08\0\0\0\0\0\0"},
    "moving": {"save_all": True, "append_images": [Image.new("RGB", (40, 24), "blue")]},
}


def webp(size: tuple[int, int] = (40, 24), **options: Any) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", size, "red").save(buffer, "WEBP", **options)
    return buffer.getvalue()


@pytest.mark.parametrize("kind", KINDS)
def test_the_size_is_read_from_the_header_of_each_kind(kind: str) -> None:
    assert webp_size(webp(**KINDS[kind])) == (40, 24)


@pytest.mark.parametrize("size", [(16_383, 16_383), (16_383, 1), (1, 1025)])
def test_a_huge_image_is_refused_by_its_header(
    make_metadata: Callable[..., ConceptMetadata], size: tuple[int, int]
) -> None:
    image = bytearray(webp(lossless=True))
    bits = (size[0] - 1) | (size[1] - 1) << 14
    image[21:25] = (bits | int.from_bytes(image[21:25], "little") & 0xF0000000).to_bytes(4, "little")
    text = base64.b64encode(image).decode()
    tracemalloc.start()
    with pytest.raises(ConceptError, match=r"thumbnail.*1024"):
        make_metadata(thumbnail=text)
    assert from_embedded(text) is None
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 2**20


@pytest.mark.parametrize("cut", [0, 3, 11, 19, 29])
def test_a_header_cut_short_is_no_image(cut: int) -> None:
    with pytest.raises(ValueError, match="not a WebP picture"):
        webp_size(webp()[:cut])


def test_an_image_damaged_behind_its_header_is_left_out() -> None:
    for k in range(30, len(webp()), 3):
        image = bytearray(webp())
        image[k] ^= 0xFF
        from_embedded(base64.b64encode(image).decode())  # an image, or None
    assert from_embedded(base64.b64encode(webp()[:35]).decode()) is None
