"""Reading the fields of a form, with limits: a request can be sent without the browser's own."""

from __future__ import annotations

from perfusion_core.errors import PerfusionError
from perfusion_core.printable import is_text, printable
from perfusion_core.sampling.request import LARGEST_SEED

# Characters. Prompts, names, notes and passwords are bounded where they are checked for everyone.
LONGEST_KIND = 60
LONGEST_PATH = 1000
LONGEST_USER = 60
LONGEST_SEED = len(str(LARGEST_SEED))


def bounded(text: str | None, most: int, what: str) -> str:
    """`text` without space around it, "" for None. Raises `PerfusionError`, in which `what` names the field,
    when it has over `most` characters, or half a one: that could be neither kept nor shown.
    """
    plain = (text or "").strip()
    if len(plain) > most:
        raise PerfusionError(f"{what} has {len(plain)} characters; at most {most} are accepted. Shorten it.")
    if not is_text(plain):
        raise PerfusionError(
            f"{what} cannot be “{printable(plain)[:100]}”, which is not whole text. Type it anew."
        )
    return plain


def read_seed(text: str | None) -> int:
    """The seed in a text field; 0 when it is empty. Raises `PerfusionError` for anything but a valid seed.

    A text, since a number field in a browser rounds whole numbers over 2**53.
    """
    plain = str(text or "0").strip()
    if not (
        plain.isascii() and plain.isdigit() and len(plain) <= LONGEST_SEED and int(plain) <= LARGEST_SEED
    ):
        raise PerfusionError(
            f"The seed is {plain[:40]!r}; it has to be a whole number from 0 to {LARGEST_SEED}."
        )
    return int(plain)
