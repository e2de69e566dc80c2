"""The name and password for other machines: where they are read from, and how often they may be guessed."""

from __future__ import annotations

import ipaddress
import math
import os
import time
from collections import deque
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from perfusion_core.errors import PerfusionError
from perfusion_core.studio.access import check_password
from perfusion_core.ui.security import refuse

VARIABLE = "PERFUSION_AUTH"
LOGIN_PATH = "/login"
MOST_TRIES = 8  # of one address in PERIOD
MOST_TRIES_TOGETHER = 200  # of all addresses: a network of guessing machines
PERIOD = 300.0  # seconds
LARGEST_FILE = 4096  # bytes


def credentials(
    auth: str | None, file: str | None = None, environment: Mapping[str, str] = os.environ
) -> tuple[str, str] | None:
    """Name and password from `--auth`, `--auth-file` or PERFUSION_AUTH, in that order; None without any.

    Raises `PerfusionError` naming the source that cannot be used.
    """
    if auth is not None:
        return parse_auth(auth, "--auth")
    if file is not None:
        return parse_auth(_first_line(Path(file)), f"The file {file}")
    text = environment.get(VARIABLE)
    return parse_auth(text, VARIABLE) if text else None


def parse_auth(text: str, source: str) -> tuple[str, str]:
    """`user:password` as a pair. Raises `PerfusionError` when one is missing or the password too short."""
    user, colon, password = text.partition(":")
    if not (colon and user.strip() and password.strip()):
        raise PerfusionError(f"{source} has to be user:password, for example anna:a-long-password.")
    try:
        return user.strip(), check_password(password.strip())
    except PerfusionError as error:
        raise PerfusionError(f"{source}: {error}") from None


def _first_line(path: Path) -> str:
    try:
        with path.open("rb") as file:
            text = file.read(LARGEST_FILE).decode("utf-8")
    except (OSError, ValueError) as error:
        raise PerfusionError(
            f"The file for --auth-file cannot be read: {path} ({error}). Give a text file with one line, "
            "user:password."
        ) from None
    return text.partition("\n")[0]


class LoginThrottle:
    """ASGI middleware that answers 429 to a login after too many wrong ones.

    A try is counted when it arrives, so that many at once do not slip through, and forgiven when the login
    succeeds. One address (of IPv6 a /64 network, which one machine may own) may fail `MOST_TRIES` times in
    `PERIOD` seconds; all together `MOST_TRIES_TOGETHER` times.
    """

    def __init__(self, app: Any, clock: Callable[[], float] = time.monotonic) -> None:
        self.app = app
        self._clock = clock
        self._tries: deque[tuple[float, str]] = deque()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if not _is_login(scope):
            await self.app(scope, receive, send)
            return
        address = _network(scope)
        wait = self._wait(address)
        if wait > 0:
            seconds = math.ceil(wait)
            text = f"Too many wrong passwords. Try again in {_minutes(seconds)}."
            await refuse(send, 429, text, (b"retry-after", str(seconds).encode()))
            return
        this = (self._clock(), address)
        self._tries.append(this)

        async def sending(message: dict[str, Any]) -> None:
            if message["type"] == "http.response.start" and message["status"] < 400:
                self._forgive(address)
            await send(message)

        await self.app(scope, receive, sending)

    def _wait(self, address: str) -> float:
        """Seconds until `address` may try again; 0 when it may now."""
        now = self._clock()
        while self._tries and self._tries[0][0] <= now - PERIOD:
            self._tries.popleft()
        own = [when for when, other in self._tries if other == address]
        if len(own) >= MOST_TRIES:
            return own[-MOST_TRIES] + PERIOD - now
        if len(self._tries) >= MOST_TRIES_TOGETHER:
            return self._tries[-MOST_TRIES_TOGETHER][0] + PERIOD - now
        return 0.0

    def _forgive(self, address: str) -> None:
        self._tries = deque(one for one in self._tries if one[1] != address)


def _is_login(scope: Any) -> bool:
    return (
        scope["type"] == "http"
        and scope["method"] == "POST"
        and scope["path"].rstrip("/").endswith(LOGIN_PATH)
    )


def _network(scope: Any) -> str:
    """The client's address; for IPv6 its /64 network."""
    address = (scope.get("client") or ("",))[0]
    try:
        found = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return address
    if found.version == 4:
        return address
    return str(ipaddress.ip_network((int(found), 64), strict=False))


def _minutes(seconds: int) -> str:
    minutes = math.ceil(seconds / 60)
    return "a minute" if minutes == 1 else f"{minutes} minutes"
