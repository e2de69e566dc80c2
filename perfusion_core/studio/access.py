"""The password for access from other machines: what it may be, and its salted scrypt hash."""

from __future__ import annotations

import base64
import hashlib
import hmac
import os
from collections.abc import Callable

from perfusion_core.errors import PerfusionError
from perfusion_core.studio.settings import Preferences

SHORTEST, LONGEST = 8, 200  # characters
_COST = {"n": 2**14, "r": 8, "p": 1}  # 16 MB and some 50 ms a try


def check_password(password: str) -> str:
    """`password` itself. Raises `PerfusionError` when it is too short or too long to be one.

    The same rule for the settings page, `--auth` and its environment variable and file.
    """
    if len(password) < SHORTEST:
        raise PerfusionError(
            f"The password has {len(password)} characters. Choose one of {SHORTEST} or more: anyone on the "
            "network may try to guess it."
        )
    if len(password) > LONGEST:
        raise PerfusionError(f"The password has {len(password)} characters; at most {LONGEST} are accepted.")
    return password


def make_secret(password: str) -> str:
    """A salted scrypt hash, `salt:digest` in base64. Raises `PerfusionError` as `check_password` does."""
    check_password(password)
    salt = os.urandom(16)
    return f"{_text(salt)}:{_text(_digest(password, salt))}"


def matches(password: str, secret: str) -> bool:
    """Whether `secret` was made of `password`."""
    try:
        salt, digest = (base64.b64decode(part, validate=True) for part in secret.split(":"))
    except ValueError:
        return False
    return hmac.compare_digest(_digest(password, salt), digest)


def lan_check(chosen: Preferences) -> Callable[[str, str], bool] | None:
    """The check of a name and a password from other machines; None when none were chosen."""
    if not (chosen.lan_user and chosen.lan_secret):
        return None
    return lambda user, password: (
        matches(password, chosen.lan_secret) and hmac.compare_digest(user.encode(), chosen.lan_user.encode())
    )


def _digest(password: str, salt: bytes) -> bytes:
    return hashlib.scrypt(password.encode(), salt=salt, **_COST)


def _text(raw: bytes) -> str:
    return base64.b64encode(raw).decode()
