"""Which requests are answered: this machine's, the local network's with a password, other sites' never.

A page on another site can make a browser send requests here. Three checks stop it: the `Host` header has to
name this machine (DNS rebinding), a request that changes something has to come from a page of this app
(cross-site request forgery), and no other page may show this one in a frame (clickjacking).
"""

from __future__ import annotations

import ipaddress
import json
import os
import socket
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

from perfusion_core.errors import PerfusionError

LOOPBACK = ("127.0.0.1", "localhost", "::1")
READING = frozenset({"GET", "HEAD", "OPTIONS"})
# Nothing is loaded from elsewhere. Gradio's templates are compiled in the browser, hence 'unsafe-eval'.
_CONTENT_POLICY = (
    "default-src 'self'; script-src 'self' 'unsafe-inline' 'unsafe-eval' blob:; style-src 'self' "
    "'unsafe-inline'; img-src 'self' data: blob:; font-src 'self' data:; connect-src 'self' data: blob:; "
    "object-src 'none'; base-uri 'self'; form-action 'self'; frame-ancestors "
)
# A Hugging Face Space is shown inside a frame of huggingface.co.
_SPACE_FRAMES = "'self' https://huggingface.co https://*.hf.space"

HostCheck = Callable[[str], bool]


def require_password_outside(host: str, password: bool, hosted: bool = False) -> None:
    """Raise `PerfusionError` when `host` is reachable by others and no password is set."""
    if host not in LOOPBACK and not password and not hosted:
        raise PerfusionError(
            f"--host {host} lets other machines in, so it needs a name and a password. Put "
            "user:password into the environment variable PERFUSION_AUTH, or into a file for --auth-file. "
            "(--auth user:password works as well, but shows it to everyone who can list processes.)"
        )


def hosts_of(host: str) -> HostCheck:
    """Which names in a `Host` header mean this machine.

    On the local network that is any of its addresses, written as a number, or its own name: a foreign site
    can point a name of its own at this machine, but not a number.
    """
    if host in LOOPBACK:
        return lambda name: name in LOOPBACK
    own = socket.gethostname().casefold()
    names = {*LOOPBACK, host.casefold(), own, f"{own}.local"}
    return lambda name: name in names or _is_number(name)


def hosted_space() -> str | None:
    """The public name when this runs as a Hugging Face Space, else None."""
    return os.environ.get("SPACE_HOST") or None if os.environ.get("SPACE_ID") else None


class SameSite:
    """ASGI middleware. A foreign `Host` gets 400, a request from another site that could change something
    403; every answer carries the headers of `answer_headers`.
    """

    def __init__(self, app: Any, hosts: HostCheck, public_name: str | None = None) -> None:
        self.app = app
        self.hosts = hosts
        self.public_name = public_name

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] not in ("http", "websocket"):
            await self.app(scope, receive, send)
            return
        headers = {key.decode("latin-1"): value.decode("latin-1") for key, value in scope["headers"]}
        host = headers.get("host", "")
        send = _with_headers(send)
        if self.public_name is None and not self.hosts(_name(host)):
            await refuse(send, 400, "This address is not one of this app's. Open it as http://127.0.0.1.")
        elif scope.get("method", "POST") not in READING and not self._from_here(headers, host):
            await refuse(send, 403, "Requests from other sites are refused.")
        else:
            await self.app(scope, receive, send)

    def _from_here(self, headers: dict[str, str], host: str) -> bool:
        if headers.get("sec-fetch-site", "same-origin") not in ("same-origin", "none"):
            return False
        origin = headers.get("origin")
        return origin is None or urlsplit(origin).netloc.casefold() in (host.casefold(), self.public_name)


def answer_headers() -> list[tuple[bytes, bytes]]:
    """The security headers of every answer: no foreign content, no frame elsewhere, no guessed types."""
    on_a_space = bool(os.environ.get("SPACE_ID"))
    policy = _CONTENT_POLICY + (_SPACE_FRAMES if on_a_space else "'none'")
    headers = [
        (b"content-security-policy", policy.encode()),
        (b"x-content-type-options", b"nosniff"),
        (b"referrer-policy", b"same-origin"),
    ]
    return headers if on_a_space else [*headers, (b"x-frame-options", b"DENY")]


def _with_headers(send: Any) -> Any:
    extra = answer_headers()

    async def sending(message: dict[str, Any]) -> None:
        if message["type"] == "http.response.start":
            message = {**message, "headers": [*message.get("headers", []), *extra]}
        await send(message)

    return sending


async def refuse(send: Any, status: int, text: str, *more: tuple[bytes, bytes]) -> None:
    """Answer with `status` and `text` under the keys in which Gradio's page looks for a reason."""
    body = json.dumps({"detail": text, "error": text}).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode()), *more]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


def _name(host: str) -> str:
    """The name in a `Host` header, without its port."""
    if host.startswith("["):
        return host[1:].partition("]")[0].casefold()
    return host.partition(":")[0].casefold()


def _is_number(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True
