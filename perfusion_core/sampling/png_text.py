"""One text out of a PNG file, found by walking its chunks; no pixel is ever decoded.

A chunk is 4 bytes of length, 4 of type, the data, and 4 of checksum. Text stands in tEXt (Latin-1), zTXt
(the same, deflated) or iTXt (UTF-8, perhaps deflated). Every size is judged before anything of that size is
read or inflated.
"""

from __future__ import annotations

import zlib
from pathlib import Path
from typing import BinaryIO

from perfusion_core.errors import PerfusionError
from perfusion_core.files import open_regular
from perfusion_core.printable import printable

LARGEST_SIDE = 16_384  # pixels
LONGEST_TEXT = 256 * 1024  # bytes, as it stands in the file and inflated
MOST_CHUNKS = 200_000  # at 8 KB each, as libpng writes them, more than the largest image has
_SIGNATURE = b"\x89PNG\r\n\x1a\n"


class _NotReadableError(Exception):
    """Why a file cannot be read as a PNG."""


def png_text(path: Path, keyword: str) -> str | None:
    """The last text called `keyword` in the PNG at `path`; None when it has none.

    Raises PerfusionError, naming the file, for what is no plain file, no PNG, larger than LARGEST_SIDE on a
    side, or has a text of that name that is too long or damaged.
    """
    name = printable(path.name)
    try:
        with open_regular(path) as file:
            return _walk(file, keyword.encode("latin-1"))
    except FileNotFoundError:
        raise PerfusionError(f"There is no file {printable(str(path))[:300]}. Check the path.") from None
    except (_NotReadableError, OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise PerfusionError(
            f"{name[:100]} is not a PNG image that can be read ({reason}). Choose the PNG as it was saved."
        ) from None


def _walk(file: BinaryIO, keyword: bytes) -> str | None:
    if file.read(8) != _SIGNATURE:
        raise _NotReadableError("it does not start like one")
    found: str | None = None
    for number in range(MOST_CHUNKS):
        head = file.read(8)
        length, kind = int.from_bytes(head[:4], "big"), head[4:]
        if number == 0:
            _check_size(file, kind, length)
        elif len(head) < 8 or kind == b"IEND":
            break  # an image cut short may still have had its text
        elif kind in (b"tEXt", b"zTXt", b"iTXt"):
            text = _text(_keyword_and_data(file, kind, length, keyword), kind)
            found = found if text is None else text
        else:
            file.seek(length + 4, 1)
    return found


def _check_size(file: BinaryIO, kind: bytes, length: int) -> None:
    if kind != b"IHDR" or length != 13:
        raise _NotReadableError("it has no header")
    header = file.read(13 + 4)
    width, height = int.from_bytes(header[:4], "big"), int.from_bytes(header[4:8], "big")
    if len(header) < 17 or not width or not height:
        raise _NotReadableError("its header is damaged")
    if max(width, height) > LARGEST_SIDE:
        raise _NotReadableError(f"it is {width}×{height} pixels, larger than any image made here")


def _keyword_and_data(file: BinaryIO, kind: bytes, length: int, keyword: bytes) -> bytes | None:
    """The data after the keyword, when this chunk has that one; the file stands behind the chunk then."""
    start = file.read(min(length, len(keyword) + 1))
    rest = length - len(start)
    if start != keyword + b"\0":
        file.seek(rest + 4, 1)
        return None
    if rest > LONGEST_TEXT:
        raise _NotReadableError("its text is too long to be a recipe")
    data, checksum = file.read(rest), file.read(4)
    if len(data) < rest or len(checksum) < 4:
        raise _NotReadableError("it is cut short")
    if zlib.crc32(kind + start + data) != int.from_bytes(checksum, "big"):
        raise _NotReadableError("its text is damaged")
    return data


def _text(data: bytes | None, kind: bytes) -> str | None:
    if data is None:
        return None
    if kind == b"tEXt":
        return data.decode("latin-1")
    if kind == b"zTXt":
        return _inflated(data[1:]).decode("latin-1")
    packed, rest = data[:1] == b"\x01", data[2:]
    _, language_end, rest = rest.partition(b"\0")
    _, keyword_end, rest = rest.partition(b"\0")
    if not language_end or not keyword_end:
        raise _NotReadableError("its text is damaged")
    return (_inflated(rest) if packed else rest).decode("utf-8")  # UnicodeDecodeError is a ValueError


def _inflated(data: bytes) -> bytes:
    unpacker = zlib.decompressobj()
    try:
        text = unpacker.decompress(data, LONGEST_TEXT)
    except zlib.error as error:
        raise _NotReadableError("its text is damaged") from error
    if unpacker.unconsumed_tail:
        raise _NotReadableError("its text is too long to be a recipe")
    return text
