"""Concept files altered byte by byte or fact by fact."""

from __future__ import annotations

import io
import json
import os
import zipfile
from collections.abc import Callable
from typing import Any

import numpy as np
import torch

KEY = "perfusion_concept"


def split(content: bytes) -> tuple[dict[str, Any], bytes]:
    length = int.from_bytes(content[:8], "little")
    return json.loads(content[8 : 8 + length]), content[8 + length :]


def join(header: dict[str, Any] | bytes, data: bytes) -> bytes:
    encoded = header if isinstance(header, bytes) else json.dumps(header).encode()
    return len(encoded).to_bytes(8, "little") + encoded + data


def with_header(change: Callable[[dict[str, Any]], Any]) -> Callable[[bytes], bytes]:
    def build(good: bytes) -> bytes:
        header, data = split(good)
        change(header)
        return join(header, data)

    return build


def with_description(change: Callable[[dict[str, Any]], Any]) -> Callable[[bytes], bytes]:
    def build(good: bytes) -> bytes:
        header, data = split(good)
        description = json.loads(header["__metadata__"][KEY])
        change(description)
        header["__metadata__"][KEY] = json.dumps(description)
        return join(header, data)

    return build


def with_fact(name: str, value: object) -> Callable[[bytes], bytes]:
    return with_description(lambda description: description.update({name: value}))


def with_number(tensor: str, value: float) -> Callable[[bytes], bytes]:
    def build(good: bytes) -> bytes:
        header, data = split(good)
        begin = header[tensor]["data_offsets"][0]
        return join(header, data[:begin] + np.float32(value).tobytes() + data[begin + 4 :])

    return build


def replaced(old: bytes, new: bytes) -> Callable[[bytes], bytes]:
    def build(good: bytes) -> bytes:
        header, data = split(good)
        encoded = json.dumps(header).encode()
        assert encoded.count(old) == 1, "the corpus no longer matches the format"
        return join(encoded.replace(old, new), data)

    return build


def rearranged(**shapes: list[int]) -> Callable[[bytes], bytes]:
    """A well-formed container of zeros and ones with these tensors instead."""

    def build(good: bytes) -> bytes:
        header, _ = split(good)
        tensors: dict[str, Any] = {"__metadata__": header["__metadata__"]}
        data = b""
        for name, shape in shapes.items():
            chunk = np.ones(shape, np.float32).tobytes()
            offsets = [len(data), len(data) + len(chunk)]
            tensors[name] = {"dtype": "F32", "shape": shape, "data_offsets": offsets}
            data += chunk
        return join(tensors, data)

    return build


class Attack:
    def __reduce__(self) -> tuple[Callable[[str], int], tuple[str]]:
        return os.system, ("touch executed",)


def archive(good: bytes) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as file:
        file.writestr("concept.safetensors", good)
    return buffer.getvalue()


def torch_file(_: bytes) -> bytes:
    buffer = io.BytesIO()
    torch.save({"target_input": torch.ones(8)}, buffer)
    return buffer.getvalue()


def lora(good: bytes) -> bytes:
    header, data = split(good)
    return join({**header, "__metadata__": {"ss_network_module": "networks.lora"}}, data)


def shift_offsets(header: dict[str, Any], name: str, begin: int, end: int) -> None:
    offsets = header[name]["data_offsets"]
    header[name]["data_offsets"] = [offsets[0] + begin, offsets[1] + end]


def swap_dtype(header: dict[str, Any], name: str, dtype: str, factor: int) -> None:
    header[name]["dtype"] = dtype
    header[name]["shape"] = [factor * header[name]["shape"][0], *header[name]["shape"][1:]]
