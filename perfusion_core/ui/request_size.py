"""How large a request may be. Fields in the browser have limits too, but a request can be sent without a
browser.

A request that only carries text is read whole before Gradio sees it, so that one that is too large is
refused before anything of it is parsed, queued or kept.
"""

from __future__ import annotations

from typing import Any

from perfusion_core.ui.security import READING, refuse

LARGEST_TEXT = 128 * 1024  # bytes; the fullest form here comes to some 10 KB
LARGEST_UPLOAD = 210 * 1024**2  # bytes; 200 MB of photos and their part headers
LARGEST_DISCARDED = 32 * 1024**2  # bytes
UPLOADS = ("/upload", "/component_server")  # photos and concept files, painted masks


class RequestSize:
    """ASGI middleware: a body over the limit gets 413."""

    def __init__(self, app: Any) -> None:
        self.app = app

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http" or scope["method"] in READING:
            await self.app(scope, receive, send)
            return
        upload = scope["path"].rstrip("/").endswith(UPLOADS)
        most = LARGEST_UPLOAD if upload else LARGEST_TEXT
        if _announced(scope) > most:
            await _discard(receive)
            await _too_large(send, most)
        elif upload:
            await self.app(scope, _cut_off(receive, most), send)
        else:
            body = await _read(receive, most)
            if body is None:
                await _discard(receive)
                await _too_large(send, most)
            else:
                await self.app(scope, _again(body, receive), send)


def _announced(scope: Any) -> int:
    """The content length a request gives; 0 when it gives none that is a number."""
    values = [value for key, value in scope["headers"] if key == b"content-length"]
    return int(values[0]) if values and values[0].isdigit() else 0


async def _read(receive: Any, most: int) -> bytes | None:
    """The whole body; None when it is larger than `most` bytes, or the client went away."""
    body = bytearray()
    while True:
        message = await receive()
        if message["type"] != "http.request":
            return None
        body += message.get("body", b"")
        if len(body) > most:
            return None
        if not message.get("more_body", False):
            return bytes(body)


async def _discard(receive: Any) -> None:
    """Read on for a while: a browser shows an answer only after it has sent its request."""
    left = LARGEST_DISCARDED
    while left > 0:
        message = await receive()
        left -= len(message.get("body", b""))
        if message["type"] != "http.request" or not message.get("more_body", False):
            return


def _again(body: bytes, receive: Any) -> Any:
    """A `receive` that gives the body that was read, then what comes after it."""
    given = False

    async def receiving() -> dict[str, Any]:
        nonlocal given
        if given:
            return await receive()
        given = True
        return {"type": "http.request", "body": body, "more_body": False}

    return receiving


def _cut_off(receive: Any, most: int) -> Any:
    """A `receive` that ends as if the client had gone when more than `most` bytes have come."""
    count = 0

    async def receiving() -> dict[str, Any]:
        nonlocal count
        message = await receive()
        count += len(message.get("body", b""))
        return message if count <= most else {"type": "http.disconnect"}

    return receiving


async def _too_large(send: Any, most: int) -> None:
    shown = f"{most // 1024**2} MB" if most >= 1024**2 else f"{most // 1024} kB"
    await refuse(send, 413, f"The request is larger than {shown}. Shorten the text, or send fewer files.")
