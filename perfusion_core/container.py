"""A strict reader and a deterministic writer of the safetensors container.

A concept file comes from strangers. So the header is checked here before anything is built from it, and the
tensors are then cut out by the very offsets that were checked: one parser, hence no second one to disagree
with. It accepts less than the safetensors library does (no duplicate keys, no gaps, two dtypes); what it
writes, that library reads.

The container: 8 bytes little-endian header length · JSON header · the tensors' bytes, without gaps.
Nothing here needs torch.
"""

from __future__ import annotations

import json
import math
import os
import stat
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, cast

import numpy as np
from numpy.typing import NDArray

from perfusion_core.errors import ConceptError
from perfusion_core.printable import printable

MAX_FILE_BYTES = 8 * 2**20
MAX_HEADER_BYTES = 64 * 2**10
MAX_TENSORS = 64
ASK_FOR_ANOTHER = "Ask whoever made it for a fresh copy."
_LENGTH_BYTES = 8
_DTYPES = {"F32": np.dtype("<f4"), "F16": np.dtype("<f2")}

FloatArray = NDArray[np.floating[Any]]


class ContainerError(ConceptError):
    """The bytes are not a container we accept; the text is the bare reason, without the file's name."""

    def __init__(self, reason: str, remedy: str = ASK_FOR_ANOTHER) -> None:
        super().__init__(reason)
        self.remedy = remedy


@dataclass(frozen=True)
class TensorEntry:
    """Where one tensor lies: dtype "F32" or "F16", and its bytes' range in the data part."""

    dtype: str
    shape: tuple[int, ...]
    begin: int
    end: int


@dataclass(frozen=True)
class Header:
    """What the header says. ``data_begin`` is where the data part starts in the file."""

    text: Mapping[str, str]
    tensors: Mapping[str, TensorEntry]
    data_begin: int


def read_header(file: BinaryIO, size: int) -> Header:
    """Check the header of a container of ``size`` bytes, reading no further. Raises ContainerError."""
    require_size(size)
    prefix = file.read(_LENGTH_BYTES)
    _refuse_other_formats(prefix)
    length = int.from_bytes(prefix, "little")
    if len(prefix) < _LENGTH_BYTES:
        raise ContainerError("it is cut short")
    if length > MAX_HEADER_BYTES:
        raise ContainerError("its header says it is longer than 64 KB, so it is damaged or no concept file")
    if length > size - _LENGTH_BYTES:
        raise ContainerError("its header runs past the end of the file, so it is damaged or cut short")
    fields = parse_json(file.read(length))
    text = _text_part(fields.pop("__metadata__", {}))
    if len(fields) > MAX_TENSORS:
        raise ContainerError("it holds more tensors than a concept has")
    tensors = {name: _entry(name, entry) for name, entry in fields.items()}
    data_begin = _LENGTH_BYTES + length
    _require_seamless(tensors, size - data_begin)
    return Header(text, tensors, data_begin)


def read_arrays(content: bytes, header: Header) -> dict[str, FloatArray]:
    """The tensors of a checked container, as read-only views into ``content``."""
    data = memoryview(content)[header.data_begin :]
    return {
        name: np.reshape(np.frombuffer(data[entry.begin : entry.end], _DTYPES[entry.dtype]), entry.shape)
        for name, entry in header.tensors.items()
    }


def container_bytes(text: Mapping[str, str], arrays: Mapping[str, FloatArray]) -> bytes:
    """The container of these arrays (float32 or float16), always the same bytes for the same content."""
    header: dict[str, object] = {"__metadata__": dict(text)}
    chunks: list[bytes] = []
    position = 0
    for name, array in arrays.items():
        dtype = "F16" if array.dtype == np.float16 else "F32"
        chunk = np.ascontiguousarray(array, _DTYPES[dtype]).tobytes()
        offsets = [position, position + len(chunk)]
        header[name] = {"dtype": dtype, "shape": list(array.shape), "data_offsets": offsets}
        chunks.append(chunk)
        position += len(chunk)
    encoded = json.dumps(header, ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode()
    encoded += b" " * (-len(encoded) % 8)  # the format asks for aligned tensors
    if len(encoded) > MAX_HEADER_BYTES:
        raise ContainerError("its description is longer than 64 KB; shorten its notes or its picture")
    return len(encoded).to_bytes(_LENGTH_BYTES, "little") + encoded + b"".join(chunks)


def regular_file_size(path: Path) -> int:
    """Size in bytes. Raises ContainerError for what is missing or no plain file (a pipe would block us)."""
    try:
        status = os.stat(path)
    except (OSError, ValueError) as error:
        raise ContainerError(f"it cannot be opened ({getattr(error, 'strerror', None) or error})") from error
    if not stat.S_ISREG(status.st_mode):
        raise ContainerError("it is not a file")
    return status.st_size


def require_size(size: int) -> None:
    """Raise ContainerError for a size in bytes that no concept has."""
    if size == 0:
        raise ContainerError("it is empty")
    if size > MAX_FILE_BYTES:
        raise ContainerError(f"it is larger than {MAX_FILE_BYTES // 2**20} MB, more than any concept needs")


def parse_json(content: bytes | str) -> dict[str, Any]:
    """A JSON object; refuses duplicate keys, NaN and Infinity, bad UTF-8 and bottomless nesting."""
    try:
        text = content.decode("utf-8") if isinstance(content, bytes) else content
        parsed = json.loads(text, object_pairs_hook=_without_duplicates, parse_constant=_refuse_constant)
    except ContainerError:
        raise
    except (ValueError, RecursionError) as error:
        raise ContainerError("its header is not valid JSON, so it is damaged or no concept file") from error
    if not isinstance(parsed, dict):
        raise ContainerError("its header is not a JSON object")
    return cast("dict[str, Any]", parsed)


def shown(name: str) -> str:
    """Foreign text, quoted, shortened and without characters that could garble a message."""
    return f"“{printable(name[:100])[:100]}”"


def _refuse_other_formats(start: bytes) -> None:
    """Only for a better message: as header lengths, all of these are far too large anyway."""
    if start[:4] in (b"PK\x03\x04", b"7z\xbc\xaf", b"Rar!") or start[:3] == b"\x1f\x8b\x08":
        raise ContainerError("it is an archive (or a .pt or .ckpt file); only .safetensors is accepted")
    # A header of 0x280 bytes starts like a protocol 2 pickle, but then its high bytes are zero.
    if start[:1] == b"\x80" and start[1:2] in (b"\x02", b"\x03", b"\x04", b"\x05") and any(start[2:]):
        raise ContainerError("it is a Python pickle, which can run code; only .safetensors is accepted")


def _without_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result = dict(pairs)
    if len(result) != len(pairs):
        raise ContainerError("its header names the same thing twice")
    return result


def _refuse_constant(name: str) -> None:
    raise ContainerError(f"its header holds {name} for a number")


def _text_part(value: object) -> dict[str, str]:
    if not isinstance(value, dict):
        raise ContainerError("its header's text part is not what the format asks for")
    fields = cast("dict[str, object]", value)
    if not all(isinstance(text, str) for text in fields.values()):
        raise ContainerError("its header's text part is not what the format asks for")
    return cast("dict[str, str]", fields)


def _entry(name: str, value: object) -> TensorEntry:
    wrong = ContainerError(f"the entry of its tensor {shown(name)} is not what the format asks for")
    if not isinstance(value, dict):
        raise wrong
    entry = cast("dict[str, object]", value)
    if set(entry) != {"dtype", "shape", "data_offsets"}:
        raise wrong
    dtype, shape, offsets = entry["dtype"], _counts(entry["shape"]), _counts(entry["data_offsets"])
    if not isinstance(dtype, str) or shape is None or offsets is None or len(shape) > 4 or len(offsets) != 2:
        raise wrong
    if dtype not in _DTYPES:
        raise ContainerError(
            f"its tensor {shown(name)} is of type {shown(dtype)}; only F32 and F16 are accepted"
        )
    begin, end = offsets
    # Python integers do not overflow: a shape of 2^62 × 4 is simply too large here.
    if end - begin != math.prod(shape) * _DTYPES[dtype].itemsize or end == begin:
        raise ContainerError(f"the size of its tensor {shown(name)} does not fit its shape")
    return TensorEntry(dtype, tuple(shape), begin, end)


def _counts(value: object) -> list[int] | None:
    if not isinstance(value, list):
        return None
    numbers = cast("list[object]", value)
    # bool is an int to Python, but `true` is no size
    if not all(type(number) is int and 0 <= number < 2**63 for number in numbers):
        return None
    return cast("list[int]", numbers)


def _require_seamless(tensors: Mapping[str, TensorEntry], data_bytes: int) -> None:
    position = 0
    for entry in sorted(tensors.values(), key=lambda entry: entry.begin):
        if entry.begin != position:
            raise ContainerError("its tensors overlap or leave gaps")
        position = entry.end
    if position > data_bytes:
        raise ContainerError("it is cut short: tensors run past the end of the file")
    if position < data_bytes:
        raise ContainerError("it has bytes after its last tensor that belong to nothing")
