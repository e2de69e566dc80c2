"""Numbers, times and foreign text as people read them; everything that goes into HTML is escaped here."""

from __future__ import annotations

import time
from html import escape as _escape


def escape(text: object) -> str:
    """Untrusted text, escaped for HTML and its attributes."""
    return _escape(str(text), quote=True)


def duration(seconds: float | None) -> str:
    """8 s, 3 min 20 s, 1 h 5 min; a dash when it is not known."""
    if seconds is None or seconds < 0:
        return "–"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s" if whole % 60 else f"{whole // 60} min"
    return f"{whole // 3600} h {whole % 3600 // 60} min"


def ago(moment: float, now: float | None = None) -> str:
    """How long ago a time (seconds since the epoch) was, roughly."""
    passed = (time.time() if now is None else now) - moment
    if passed < 60:
        return "just now"
    for unit, length in (("day", 86_400), ("hour", 3600), ("minute", 60)):
        if passed >= length:
            count = int(passed // length)
            return f"{count} {unit}{'s' if count > 1 else ''} ago"
    return "just now"


def size(count: int) -> str:
    """Bytes as B, kB or MB."""
    if count < 1000:
        return f"{count} B"
    if count < 1_000_000:
        return f"{count / 1000:.0f} kB"
    return f"{count / 1_000_000:.1f} MB"


def gigabytes(count: float) -> str:
    return f"{count / 2**30:.1f} GB"


def note(text: str, kind: str = "note") -> str:
    """A paragraph set apart: kind is note, problem or good. Empty text gives nothing."""
    if not text:
        return ""
    role = ' role="alert"' if kind == "problem" else ""
    return f'<div class="said said-{kind}"{role}>{escape(text)}</div>'


def notes(texts: list[str], kind: str = "note") -> str:
    return "".join(note(text, kind) for text in texts)
