"""Bytes of an unknown file to one upright 8-bit sRGB image, or a clear refusal.

Limits are judged from the header, before a single pixel is decoded, and only the formats named here are ever
opened: Pillow's other decoders (EPS runs a program, for one) are never reached.
"""

from __future__ import annotations

import io
import warnings
from dataclasses import dataclass
from typing import Any

from PIL import Image, ImageCms, ImageOps

from perfusion_core.errors import PhotoError
from perfusion_core.printable import printable

FORMATS = ("JPEG", "PNG", "WEBP", "TIFF", "BMP", "GIF", "AVIF", "HEIF")
SPOKEN_FORMATS = "JPEG, PNG, WebP, HEIC, AVIF, TIFF, BMP or GIF"
SUFFIXES = frozenset(
    {".jpg", ".jpeg", ".png", ".webp", ".tif", ".tiff", ".bmp", ".gif", ".avif", ".heic", ".heif", ".mpo"}
)
MAX_PIXELS = 50_000_000
MIN_SIDE = 64
MAX_ASPECT = 6.0
ALPHA_COLOUR = "white"

# First bytes of files that are often dropped by mistake, so that the refusal can name them.
_LOOKALIKES = (
    (b"%!PS", "an EPS or PostScript drawing"),
    (b"\xc5\xd0\xd3\xc6", "an EPS drawing"),
    (b"%PDF", "a PDF"),
    (b"PK\x03\x04", "a ZIP archive"),
    (b"8BPS", "a Photoshop document"),
)
_LOOKALIKE_TEXT = ((b"<svg", "an SVG drawing"), (b"<!doctype html", "a web page"), (b"<html", "a web page"))


@dataclass(frozen=True)
class Decoded:
    """An upright RGB image and what was done to it that its owner should know."""

    image: Image.Image
    notes: tuple[str, ...]


def decode(data: bytes, name: str) -> Decoded:
    """Decode one photo.

    `name` is only used in messages. Raises PhotoError when the bytes are not a whole image in one of
    FORMATS, or its size is outside the limits (decided from the header).
    """
    _check_not_empty(data, name)
    with warnings.catch_warnings():
        # Pillow warns about large or oddly written files; our own limits and the refusal below say it better.
        warnings.simplefilter("ignore")
        with _open(data, name) as opened:
            _check_size(opened.size, name)
            notes: list[str] = []
            try:
                profile = opened.info.get("icc_profile")
                opened.load()
                image = _upright(opened, notes)
                image = _to_srgb(image, profile, notes)
                if opened.format != "MPO" and _has_more_frames(opened):
                    notes.insert(0, "it is animated: only its first frame is used")
            except MemoryError:
                raise PhotoError(f"{name} does not fit in memory. Save it smaller and try again.") from None
            except Exception as error:  # decoders of foreign bytes raise nearly anything
                raise PhotoError(
                    f"{name} cannot be read to its end: it is cut off or damaged ({_short(error)}). "
                    "Copy it again or save it anew from another program."
                ) from error
    _check_size(image.size, name)
    return Decoded(image, tuple(notes))


def check_header(data: bytes, name: str) -> None:
    """Refuse, as `decode` does, what its header shows to be no photo or outside the limits. Raises
    PhotoError; decodes nothing.
    """
    _check_not_empty(data, name)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with _open(data, name) as opened:
            _check_size(opened.size, name)


def _check_not_empty(data: bytes, name: str) -> None:
    if not data:
        raise PhotoError(f"{name} is empty (zero bytes). Copy it again from where it came from.")


def _open(data: bytes, name: str) -> Image.Image:
    _register_heif()
    try:
        return Image.open(io.BytesIO(data), formats=FORMATS)
    except Image.DecompressionBombError:
        raise _too_large(name) from None
    except Exception as error:  # header parsers of foreign bytes raise nearly anything
        what = _looks_like(data)
        if what:
            raise PhotoError(f"{name} is {what}, not a photo. Use {SPOKEN_FORMATS}.") from error
        raise PhotoError(
            f"{name} is not a photo this program can open, or it is damaged. Use {SPOKEN_FORMATS}."
        ) from error


def _register_heif() -> None:
    """HEIC, what phones save, comes through pillow-heif; without it the other formats still work."""
    try:
        import pillow_heif
    except ImportError:
        return
    pillow_heif.register_heif_opener()


def _looks_like(data: bytes) -> str | None:
    for magic, what in _LOOKALIKES:
        if data.startswith(magic):
            return what
    head = data[:1024].lower()
    return next((what for marker, what in _LOOKALIKE_TEXT if marker in head), None)


def _check_size(size: tuple[int, int], name: str) -> None:
    width, height = size
    if width * height > MAX_PIXELS:
        raise _too_large(name)
    if min(size) < MIN_SIDE:
        raise PhotoError(
            f"{name} is only {width}×{height} pixels. Use a photo of at least {MIN_SIDE}×{MIN_SIDE} pixels."
        )
    if max(size) > MAX_ASPECT * min(size):
        raise PhotoError(
            f"{name} is a strip of {width}×{height} pixels. Crop it closer to a square around the subject."
        )


def _too_large(name: str) -> PhotoError:
    return PhotoError(
        f"{name} has more than {MAX_PIXELS // 1_000_000} megapixels. Save it smaller and try again."
    )


def _has_more_frames(opened: Image.Image) -> bool:
    """Whether there is a second frame or page, sound or not. To count them all would read all of them."""
    try:
        opened.seek(1)
    except EOFError:
        return False
    except Exception:  # the first frame is whole, and only that one is used
        return True
    return True


def _upright(image: Image.Image, notes: list[str]) -> Image.Image:
    try:
        return ImageOps.exif_transpose(image)
    except Exception:
        notes.append("its orientation data is damaged and was ignored")
        return image.copy()


def _to_srgb(image: Image.Image, profile: bytes | None, notes: list[str]) -> Image.Image:
    """Any mode to 8-bit sRGB; transparent parts are laid on ALPHA_COLOUR."""
    if image.mode.startswith("I") or image.mode == "F":
        image = _to_eight_bits(image)
    if image.mode == "LAB":
        profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB")).tobytes()
    alpha = _alpha(image)
    if image.mode in ("P", "PA", "RGBA", "RGBa", "RGBX", "1", "YCbCr", "HSV"):
        image = image.convert("RGBA").convert("RGB") if alpha is not None else image.convert("RGB")
    elif image.mode in ("LA", "La"):
        image = image.convert("L")
    colours = _apply_profile(image, profile, notes)
    if alpha is None or alpha.getextrema() == (255, 255):
        return colours
    notes.append(f"its transparent parts were filled with {ALPHA_COLOUR}")
    ground = Image.new("RGB", colours.size, ALPHA_COLOUR)
    ground.paste(colours, mask=alpha)
    return ground


def _alpha(image: Image.Image) -> Image.Image | None:
    if not image.has_transparency_data:
        return None
    return image.convert("RGBA").getchannel("A")


def _to_eight_bits(image: Image.Image) -> Image.Image:
    """Rescale 16-bit, 32-bit and float grey to 0..255; Pillow's own convert would clip all of it to white."""
    import numpy as np

    values = np.asarray(image).astype(np.float64)
    values = np.nan_to_num(values, nan=0.0, posinf=0.0, neginf=0.0)
    top = float(values.max(initial=0.0))
    if image.mode == "F":
        scale = 255.0 if top <= 1.0 else 255.0 / max(top, 255.0)
    else:
        scale = 255.0 / max(65535.0, top)
    return Image.fromarray(np.clip(np.rint(values * scale), 0, 255).astype(np.uint8))


def _apply_profile(image: Image.Image, profile: bytes | None, notes: list[str]) -> Image.Image:
    if not profile:
        return image.convert("RGB")
    try:
        source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        target: Any = ImageCms.createProfile("sRGB")
        converted = ImageCms.profileToProfile(image, source, target, outputMode="RGB")
    except (ImageCms.PyCMSError, OSError, ValueError, TypeError):
        notes.append("its colour profile is damaged and was ignored: colours may be a little off")
        return image.convert("RGB")
    assert converted is not None
    return converted


def _short(error: Exception) -> str:
    text = printable(" ".join(str(error).split()) or type(error).__name__)
    return text if len(text) <= 80 else text[:79] + "…"
