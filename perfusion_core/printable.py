"""Text that someone else wrote, made fit for a terminal, a log or a message."""

from __future__ import annotations

import json
import unicodedata

# Joiners that words of several scripts are written with; alone they do nothing to a terminal.
_JOINERS = "\u200c\u200d"
_NOT_SHOWN = frozenset({"Cc", "Cf", "Cs", "Co", "Zl", "Zp"})


def printable(text: str) -> str:
    """`text` on one line, with each character that cannot be seen or would move the cursor as its escape.

    Control characters (so no terminal escapes), line breaks, marks that turn the direction of text around,
    half characters and unassigned ones become what Python would write for them: an escape character is
    shown as the four characters \\\\x1b. All else, in any script, stays as it is.
    """
    return "".join(c if _is_plain(c) else _escape(c) for c in text)


def is_showable(text: str) -> bool:
    """Whether text, of one line or several, holds nothing that hides, is half, or turns text around."""
    return not any(unicodedata.category(c) in _NOT_SHOWN and c != "\n" for c in text)


def is_text(text: str) -> bool:
    """Whether it can be written as UTF-8: not so with half a character, as names of files may have."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def printable_json(value: object) -> str:
    """JSON for people and programs alike: indented, in any script, and safe to print. Nothing is lost."""
    lines = json.dumps(value, indent=1, ensure_ascii=False).split("\n")
    return "\n".join("".join(c if _is_plain(c) else json.dumps(c)[1:-1] for c in line) for line in lines)


def _is_plain(character: str) -> bool:
    return character.isprintable() or unicodedata.category(character) == "Zs" or character in _JOINERS


def _escape(character: str) -> str:
    return character.encode("unicode_escape").decode("ascii")
