"""Photos of every kind: how they are read, turned, cropped and told apart."""

from __future__ import annotations

import io
import struct
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageCms

from perfusion_core.errors import PhotoError
from perfusion_core.training.photos import cropped, load_photos, square_box
from tests.training.photo_bytes import encoded, image, only


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
