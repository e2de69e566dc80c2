"""The size that a WebP image's header claims, without decoding anything."""

from __future__ import annotations


def webp_size(image: bytes) -> tuple[int, int]:
    """Width and height in pixels. Raises ValueError for what does not begin as a WebP image.

    An extended file names its canvas, a lossless or lossy one its only frame; decoders take no frame that is
    larger than the canvas.
    """
    if image[:4] != b"RIFF" or image[8:12] != b"WEBP" or len(image) < 30:
        raise ValueError("is not a WebP picture")
    kind, body = image[12:16], image[20:30]
    if kind == b"VP8X":
        return int.from_bytes(body[4:7], "little") + 1, int.from_bytes(body[7:10], "little") + 1
    if kind == b"VP8L" and body[0] == 0x2F:
        bits = int.from_bytes(body[1:5], "little")
        return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    if kind == b"VP8 " and body[3:6] == b"\x9d\x01\x2a":
        width, height = int.from_bytes(body[6:8], "little"), int.from_bytes(body[8:10], "little")
        return width & 0x3FFF, height & 0x3FFF
    raise ValueError("is not a WebP picture")
