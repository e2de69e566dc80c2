"""The user's photos: counted, checked, decoded, cropped square around the subject.

A photo is stored under its `id`; the name it came with is only ever shown, never used as a path.
"""

from __future__ import annotations

import hashlib
import os
import re
import stat
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from PIL import Image

from perfusion_core.errors import PhotoError
from perfusion_core.files import is_folder
from perfusion_core.printable import printable
from perfusion_core.training.decode import SPOKEN_FORMATS, SUFFIXES, check_header, decode

MAX_PHOTOS = 64
MAX_BYTES = 25 * 1024 * 1024
MAX_TOTAL_BYTES = 200 * 1024 * 1024
MAX_SIDE = 2048  # larger photos are reduced after decoding: training never needs more

Box = tuple[int, int, int, int]  # left, top, right, bottom in pixels, right and bottom exclusive
Source = str | os.PathLike[str] | bytes | tuple[str, bytes]  # a path, a folder, bytes, or (name, bytes)


@dataclass(frozen=True)
class Photo:
    """One checked photo.

    image: the square RGB crop that is trained on; full: the whole upright image (longest side <=
    MAX_SIDE); crop: where `image` lies in `full`; sha: sha256 of the upright pixels; warnings: whole
    sentences for the user.
    """

    image: Image.Image
    original_name: str
    sha: str
    warnings: tuple[str, ...]
    full: Image.Image
    crop: Box

    @property
    def id(self) -> str:
        """A file name that is safe everywhere."""
        return self.sha[:16]


def load_photos(sources: Sequence[Source] | Source) -> list[Photo]:
    """Check and decode photos given as paths, folders (all photos in them), bytes or (name, bytes).

    The same image twice is used once, with a warning on the one that stays. Raises PhotoError naming the
    photo, what is wrong with it and what to do; nothing is returned then.
    """
    if isinstance(sources, (str, bytes, os.PathLike)) or _is_named_bytes(sources):
        sources = [sources]  # type: ignore[list-item]
    given = list(_expand(sources))  # type: ignore[arg-type]
    _check_count(len(given))
    total = 0
    photos: dict[str, Photo] = {}
    for number, source in enumerate(given, start=1):
        name, data = _read(source, number)
        total += len(data)
        _check_total(total)
        photo = _photo(name, data)
        first = photos.get(photo.sha)
        if first is None:
            photos[photo.sha] = photo
        else:
            again = f"{shown(name)} is the same picture as {shown(first.original_name)}: used once."
            photos[photo.sha] = replace(first, warnings=(*first.warnings, again))
    return list(photos.values())


def read_photo_files(sources: Sequence[Source]) -> list[tuple[str, bytes]]:
    """The names and contents of photos given as for `load_photos`, which takes what is returned here.

    Judged by their headers alone, without decoding a pixel: what is cut off later in a file is found by
    `load_photos` only. Raises PhotoError as that does.
    """
    given = list(_expand(sources))
    _check_count(len(given))
    found: list[tuple[str, bytes]] = []
    for number, source in enumerate(given, start=1):
        name, data = _read(source, number)
        check_header(data, shown(name))
        found.append((name, data))
        _check_total(sum(len(content) for _, content in found))
    return found


def cropped(photo: Photo, box: Box) -> Photo:
    """The photo with another crop; `box` is in pixels of `photo.full` and must be a square inside it."""
    left, top, right, bottom = box
    width, height = photo.full.size
    inside = 0 <= left < right <= width and 0 <= top < bottom <= height
    if not inside or right - left != bottom - top:
        raise PhotoError(
            f"The crop {box} of {shown(photo.original_name)} is not a square inside its "
            f"{width}×{height} pixels. Draw it again."
        )
    return replace(photo, image=photo.full.crop(box), crop=box)


def square_box(size: tuple[int, int], centre: tuple[float, float] | None = None) -> Box:
    """The largest square in an image of `size` (width, height), as near to `centre` (x, y) as it fits."""
    width, height = size
    side = min(size)
    x, y = centre or (width / 2, height / 2)
    left = min(max(round(x - side / 2), 0), width - side)
    top = min(max(round(y - side / 2), 0), height - side)
    return left, top, left + side, top + side


def shown(name: str, limit: int = 60) -> str:
    """A name fit for a message: one line, quoted, shortened in the middle."""
    name = name if len(name) <= limit else f"{name[: limit // 2]}…{name[-limit // 2 :]}"
    return f"“{printable(name)}”"


def _check_count(count: int) -> None:
    if not count:
        raise PhotoError("No photos were given. Add one to eight photos of the subject.")
    if count > MAX_PHOTOS:
        raise PhotoError(
            f"{count} photos were given; at most {MAX_PHOTOS} are used. Choose the clearest ones."
        )


def _check_total(size: int) -> None:
    if size > MAX_TOTAL_BYTES:
        raise PhotoError(
            f"The photos are larger than {MAX_TOTAL_BYTES // 2**20} MB together. Use fewer or smaller ones."
        )


def _photo(name: str, data: bytes) -> Photo:
    decoded = decode(data, shown(name))
    full = decoded.image
    sha = hashlib.sha256(repr(full.size).encode() + full.tobytes()).hexdigest()
    full.thumbnail((MAX_SIDE, MAX_SIDE), Image.Resampling.LANCZOS)
    box = square_box(full.size)
    warnings = tuple(f"{shown(name)}: {note}." for note in decoded.notes)
    return Photo(full.crop(box), name, sha, warnings, full, box)


def _is_named_bytes(source: object) -> bool:
    return (
        isinstance(source, tuple)
        and len(source) == 2
        and isinstance(source[0], str)
        and isinstance(source[1], bytes)
    )


def _expand(sources: Iterable[Source]) -> Iterable[Source]:
    """Folders become the photos in them, in the order a person would count."""
    for source in sources:
        if isinstance(source, (str, os.PathLike)) and is_folder(source):
            folder = Path(source)
            inside = [entry for entry in folder.iterdir() if entry.suffix.lower() in SUFFIXES]
            inside = [entry for entry in inside if not entry.name.startswith(".")]
            if not inside:
                raise PhotoError(
                    f"The folder {shown(str(folder))} has no photos in it. Use {SPOKEN_FORMATS}."
                )
            yield from sorted(inside, key=_counting_order)
        else:
            yield source


def _counting_order(path: Path) -> list[tuple[int, str]]:
    parts = re.split(r"(\d+)", path.name.casefold())
    return [(int(part) if part.isdecimal() else -1, part) for part in parts]


def _read(source: Source, number: int) -> tuple[str, bytes]:
    if isinstance(source, bytes):
        name, data = f"photo {number}", source
    elif isinstance(source, tuple):
        name, data = _display_name(source[0]), source[1]
    else:
        name, data = _display_name(os.fspath(source)), _read_file(Path(source))
    if len(data) > MAX_BYTES:
        raise _too_heavy(name)
    return name, data


def _read_file(path: Path) -> bytes:
    name = shown(_display_name(str(path)))
    try:
        status = path.stat()
        if not stat.S_ISREG(status.st_mode):
            raise PhotoError(f"{name} is not a file. Choose a photo.")
        if status.st_size > MAX_BYTES:
            raise _too_heavy(path.name)
        return path.read_bytes()
    except FileNotFoundError:
        raise PhotoError(f"{name} was not found. Check the path {shown(str(path), 200)}.") from None
    except (OSError, ValueError) as error:
        raise PhotoError(
            f"{name} cannot be opened ({_reason(error)}). Check that you may read it."
        ) from error


def _reason(error: OSError | ValueError) -> str:
    return printable(getattr(error, "strerror", None) or str(error))[:100]


def _too_heavy(name: str) -> PhotoError:
    return PhotoError(f"{shown(name)} is larger than {MAX_BYTES // 2**20} MB. Save it smaller and try again.")


def _display_name(path: str) -> str:
    """The last part of a path from any system, without characters that would disturb a line of text."""
    name = re.split(r"[/\\]", path.rstrip("/\\"))[-1] or path
    return "".join(letter for letter in name if unicodedata.category(letter)[0] != "C") or "photo"
