"""Photos that are refused, and what their owner is told."""

from __future__ import annotations

import struct
import zlib
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from perfusion_core.errors import PhotoError
from perfusion_core.training import photos as photos_module
from perfusion_core.training.photos import load_photos
from tests.training.photo_bytes import encoded, image, only, png_header_only, refusal


def test_zero_bytes_are_refused() -> None:
    assert "empty" in refusal(b"")


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF", "GIF", "AVIF"])
@pytest.mark.parametrize("part", [0.05, 0.5, 0.9])
def test_truncated_photos_are_refused(kind: str, part: float) -> None:
    noise = Image.fromarray(np.random.default_rng(0).integers(0, 255, (96, 96, 3), dtype=np.uint8))
    data = encoded(noise, kind)
    refusal(data[: int(len(data) * part)])


def test_fifty_megapixels_are_refused_from_the_header(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Image.Image, "load", lambda self: pytest.fail("a pixel was decoded"))
    assert "50 megapixels" in refusal(png_header_only(10_000, 5_001))


@pytest.mark.parametrize("side", [15_000, 60_000])
def test_decompression_bombs_are_refused(side: int) -> None:
    assert "50 megapixels" in refusal(png_header_only(side, side))


def test_text_chunk_bomb_is_refused_or_ignored_within_bounds() -> None:
    data = encoded(image(), "PNG")
    bomb = zlib.compress(b"a" * 80_000_000)
    body = b"note\0\0" + bomb
    chunk = struct.pack(">I", len(body)) + b"zTXt" + body + struct.pack(">I", zlib.crc32(b"zTXt" + body))
    refusal(data[:33] + chunk + data[33:])


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b'<?xml version="1.0"?><svg xmlns="http://www.w3.org/2000/svg"/>', "SVG"),
        (b"<!DOCTYPE html><html></html>", "web page"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 96 96\n", "EPS"),
        (b"%PDF-1.7", "PDF"),
        (b"PK\x03\x04" + b"\0" * 60, "ZIP"),
        (b"MZ" + b"\0" * 200, "not a photo"),
        (b"\x89PNG\r\n\x1a\n", "not a photo"),
    ],
)
def test_what_is_no_photo_is_named(data: bytes, said: str) -> None:
    assert said in refusal(data, "photo.jpg")


def test_formats_outside_the_list_are_refused() -> None:
    refusal(encoded(image(), "PPM"), "photo.png")
    refusal(encoded(image(), "TGA"), "photo.png")
    refusal(encoded(image(), "EPS"), "photo.png")


@pytest.mark.parametrize("size", [(1, 1), (63, 400)])
def test_tiny_photos_are_refused(size: tuple[int, int]) -> None:
    assert f"{size[0]}×{size[1]}" in refusal(encoded(Image.new("RGB", size), "PNG"))


def test_extreme_aspect_is_refused() -> None:
    assert "strip" in refusal(encoded(Image.new("RGB", (1000, 100)), "PNG"))


def test_more_than_sixty_four_photos_are_refused() -> None:
    with pytest.raises(PhotoError, match="64"):
        load_photos([("a.png", b"x")] * 65)


def test_a_photo_over_twenty_five_megabytes_is_refused() -> None:
    assert "25 MB" in refusal(b"\0" * (25 * 2**20 + 1))


def test_a_heavy_file_is_refused_without_reading_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "huge.png"
    with path.open("wb") as file:
        file.truncate(26 * 2**20)
    monkeypatch.setattr(Path, "read_bytes", lambda self: pytest.fail("it was read"))
    with pytest.raises(PhotoError, match="25 MB"):
        load_photos(path)


def test_photos_over_two_hundred_megabytes_together_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    data = [(f"{seed}.png", encoded(image(seed=seed), "PNG")) for seed in range(3)]
    monkeypatch.setattr(photos_module, "MAX_TOTAL_BYTES", sum(len(body) for _, body in data) - 1)
    with pytest.raises(PhotoError, match="together"):
        load_photos(data)


def test_no_photos_at_all_is_an_error() -> None:
    with pytest.raises(PhotoError, match="No photos"):
        load_photos([])


def test_missing_files_and_empty_folders_are_named(tmp_path: Path) -> None:
    with pytest.raises(PhotoError, match=r"“gone\.png” was not found"):
        load_photos(tmp_path / "gone.png")
    with pytest.raises(PhotoError, match="has no photos"):
        load_photos([tmp_path])


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF", "BMP", "GIF", "AVIF"])
def test_damaged_bytes_give_a_photo_or_a_refusal_and_nothing_else(kind: str) -> None:
    generator = np.random.default_rng(7)
    whole = np.frombuffer(encoded(image(), kind), dtype=np.uint8)
    for _ in range(30):
        damaged = whole.copy()
        places = generator.integers(0, len(damaged), size=generator.integers(1, 12))
        damaged[places] = generator.integers(0, 256, size=len(places))
        with suppress(PhotoError):
            assert only(damaged.tobytes()).image.mode == "RGB"
