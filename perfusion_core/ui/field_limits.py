"""How long the texts of a form may be. The browser's fields have the same limits, but a request can be sent
without a browser.
"""

from __future__ import annotations

from perfusion_core.errors import PerfusionError

# Characters. Prompts, names, notes and passwords are bounded where they are checked for everyone.
LONGEST_KIND = 60
LONGEST_PATH = 1000
LONGEST_USER = 60


def bounded(text: str | None, most: int, what: str) -> str:
    """`text` without space around it, "" for None. Raises `PerfusionError` when it has over `most` characters;
    `what` names the field.
    """
    plain = (text or "").strip()
    if len(plain) > most:
        raise PerfusionError(f"{what} has {len(plain)} characters; at most {most} are accepted. Shorten it.")
    return plain
