"""Every bad photo of the reliability list, built here, and what its owner is told."""

from __future__ import annotations

import io
import struct
import zlib
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageCms

from perfusion_core.errors import PhotoError
from perfusion_core.training import photos as photos_module
from perfusion_core.training.photos import Photo, cropped, load_photos, square_box


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


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF", "BMP", "GIF", "AVIF"])
def test_every_allowed_format_becomes_square_rgb(kind: str) -> None:
    photo = only(encoded(image(120, 96), kind))
    assert photo.image.mode == "RGB"
    assert photo.image.size == (96, 96)
    assert photo.full.size == (120, 96)
    assert photo.crop == (12, 0, 108, 96)
    assert photo.warnings == ()


def test_heic_is_decoded() -> None:
    pillow_heif = pytest.importorskip("pillow_heif")
    buffer = io.BytesIO()
    pillow_heif.from_pillow(image()).save(buffer, quality=90)
    photo = only(buffer.getvalue(), "IMG_0001.HEIC")
    left, right = photo.image.getpixel((2, 48)), photo.image.getpixel((93, 48))
    assert left[0] > 200
    assert right[2] > 200


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


def test_exif_rotation_is_applied() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was held turned: show it 90 degrees clockwise
    photo = only(encoded(image(128, 96), "JPEG", exif=exif, quality=95), "turned.jpg")
    assert photo.full.size == (96, 128)
    top, bottom = photo.full.getpixel((48, 3)), photo.full.getpixel((48, 124))
    assert top[0] > 200
    assert bottom[2] > 200


def test_damaged_exif_does_not_cost_the_photo() -> None:
    photo = only(encoded(image(), "JPEG", exif=b"Exif\0\0II*\0\xff\xff\xff\x7f"), "odd.jpg")
    assert photo.image.size == (96, 96)


def test_cmyk_becomes_rgb() -> None:
    photo = only(encoded(Image.new("CMYK", (96, 96), (0, 255, 255, 0)), "JPEG"), "print.jpg")
    red, green, blue = photo.image.getpixel((48, 48))
    assert red > 180
    assert green < 90
    assert blue < 90


def test_colour_profile_is_converted_to_srgb() -> None:
    lab = ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB"))
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB"))
    colours = Image.new("RGB", (96, 96), (30, 180, 60))
    in_lab = ImageCms.profileToProfile(colours, srgb, lab, outputMode="LAB")
    photo = only(encoded(in_lab, "TIFF"), "lab.tif")
    assert np.abs(np.subtract(photo.image.getpixel((5, 5)), (30, 180, 60))).max() <= 4


def test_damaged_colour_profile_is_ignored_with_a_warning() -> None:
    photo = only(encoded(image(), "PNG", icc_profile=b"not a profile"))
    assert "colour profile" in photo.warnings[0]


@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
def test_sixteen_bit_grey_is_rescaled_not_clipped(kind: str) -> None:
    ramp = np.tile(np.linspace(0, 65535, 96).astype(np.uint16), (96, 1))
    photo = only(encoded(Image.fromarray(ramp), kind))
    row = np.asarray(photo.image)[48, :, 0]
    assert row[0] == 0
    assert row[-1] == 255
    assert 120 <= row[48] <= 136


def test_float_grey_is_rescaled() -> None:
    ramp = np.tile(np.linspace(0, 1, 96).astype(np.float32), (96, 1))
    row = np.asarray(only(encoded(Image.fromarray(ramp), "TIFF")).image)[48, :, 0]
    assert row[0] == 0
    assert row[-1] == 255


def test_animated_photo_uses_its_first_frame_and_says_so() -> None:
    frames = [Image.new("RGB", (96, 96), colour) for colour in ("red", "blue")]
    data = encoded(frames[0], "GIF", save_all=True, append_images=frames[1:])
    photo = only(data, "moving.gif")
    assert photo.image.getpixel((10, 10))[0] > 200
    assert "first frame" in photo.warnings[0]


def test_alpha_is_laid_on_the_stated_colour() -> None:
    see_through = image().convert("RGBA")
    see_through.putalpha(Image.new("L", (96, 96), 0))
    photo = only(encoded(see_through, "PNG"))
    assert photo.image.getpixel((20, 20)) == (255, 255, 255)
    assert "white" in photo.warnings[0]


def test_palette_with_transparency_is_laid_on_the_stated_colour() -> None:
    palette = Image.new("P", (96, 96), 0)
    palette.putpalette([255, 0, 0, 0, 255, 0])
    palette.paste(1, (48, 0, 96, 96))
    photo = only(encoded(palette, "PNG", transparency=0))
    assert photo.image.getpixel((10, 10)) == (255, 255, 255)
    assert photo.image.getpixel((80, 10)) == (0, 255, 0)


def test_an_opaque_alpha_channel_is_not_worth_a_warning() -> None:
    assert only(encoded(image().convert("RGBA"), "PNG")).warnings == ()


def test_a_wrong_extension_does_not_matter() -> None:
    assert only(encoded(image(), "PNG"), "photo.jpg").image.size == (96, 96)


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


def test_the_same_image_twice_is_used_once_with_a_warning() -> None:
    first, second = encoded(image(), "PNG"), encoded(image(), "BMP")
    (photo,) = load_photos([("a.png", first), ("b.bmp", second)])
    assert photo.original_name == "a.png"
    assert "“b.bmp” is the same picture as “a.png”" in photo.warnings[0]


def test_names_are_shown_but_never_used_as_paths() -> None:
    data = encoded(image(), "PNG")
    for name, shown in [
        ("../../etc/passwd", "passwd"),
        ("C:\\photos\\CON", "CON"),
        ("狗 – été.png", "狗 – été.png"),
        ("a\nb\x1b[31m.png", "ab[31m.png"),
        ("n" * 300 + ".png", "n" * 300 + ".png"),
    ]:
        photo = only(data, name)
        assert photo.original_name == shown
        assert photo.id.isalnum()
        assert len(photo.id) == 16


def test_a_long_name_is_shortened_in_messages() -> None:
    with pytest.raises(PhotoError) as caught:
        load_photos([("n" * 300 + ".png", b"")])
    assert len(str(caught.value)) < 200


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


def test_a_folder_gives_its_photos_in_counting_order(tmp_path: Path) -> None:
    for number in (10, 2, 1):
        (tmp_path / f"dog{number}.png").write_bytes(encoded(image(seed=number), "PNG"))
    (tmp_path / "LICENSE").write_text("free")
    (tmp_path / ".hidden.png").write_bytes(b"")
    assert [photo.original_name for photo in load_photos(tmp_path)] == ["dog1.png", "dog2.png", "dog10.png"]


def test_large_photos_are_reduced_after_decoding() -> None:
    photo = only(encoded(Image.new("RGB", (3000, 2500), "green"), "JPEG"), "large.jpg")
    assert photo.full.size == (2048, 1707)
    assert photo.image.size == (1707, 1707)


def test_square_box_stays_inside_and_near_the_centre() -> None:
    assert square_box((200, 100)) == (50, 0, 150, 100)
    assert square_box((200, 100), (10, 50)) == (0, 0, 100, 100)
    assert square_box((100, 200), (50, 190)) == (0, 100, 100, 200)


def test_an_explicit_crop_is_used_and_checked() -> None:
    photo = only(encoded(image(200, 100), "PNG"))
    moved = cropped(photo, (100, 0, 200, 100))
    assert moved.image.size == (100, 100)
    assert moved.image.getpixel((99, 0)) == photo.full.getpixel((199, 0))
    for box in [(0, 0, 100, 90), (150, 0, 250, 100), (-1, 0, 99, 100), (50, 50, 50, 50)]:
        with pytest.raises(PhotoError, match="square"):
            cropped(photo, box)


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


def pages(kind: str, **options: object) -> bytes:
    return encoded(image(), kind, save_all=True, append_images=[image(seed=3)], **options)


def test_a_tiff_whose_second_page_is_damaged_gives_its_first() -> None:
    content = bytearray(pages("TIFF"))
    first_directory = struct.unpack("<I", content[4:8])[0]
    (entries,) = struct.unpack("<H", content[first_directory : first_directory + 2])
    link = first_directory + 2 + 12 * entries
    (second,) = struct.unpack("<I", content[link : link + 4])
    for tag in range(second + 2, second + 2 + 12 * 4, 12):
        content[tag : tag + 2] = b"\xfe\xff"  # no page without its dimensions
    photo = only(bytes(content), "scan.tif")
    assert photo.full.tobytes() == only(pages("TIFF")).full.tobytes()
    assert "only its first frame" in photo.warnings[0]


def test_a_gif_cut_in_its_second_frame_gives_its_first() -> None:
    whole = pages("GIF", duration=100)
    second = whole.index(b"\x21\xf9", whole.index(b"\x21\xf9") + 1)
    first = only(whole).full.tobytes()
    for end in range(second, len(whole), 97):
        assert only(whole[:end], "moving.gif").full.tobytes() == first


@pytest.mark.parametrize("kind", ["TIFF", "GIF", "PNG", "WEBP"])
def test_pages_and_frames_cut_anywhere_never_end_in_a_bare_error(kind: str) -> None:
    whole = pages(kind)
    for end in range(0, len(whole), max(1, len(whole) // 60)):
        with suppress(PhotoError):
            only(whole[:end])
