"""The choice of the base model: what is offered, what cannot be used and why, and taking another one."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from perfusion_core.errors import PerfusionError
from perfusion_core.studio.settings import prefer
from perfusion_core.ui.field_values import LONGEST_PATH, bounded
from perfusion_core.ui.html import escape

if TYPE_CHECKING:
    from perfusion_core.studio.app import Studio
    from perfusion_core.studio.library.library import LibraryEntry
    from perfusion_core.studio.readiness import Readiness


def choices(studio: Studio) -> list[tuple[str, str]]:
    """The base models found on this machine that can be used, and the one in use."""
    found = [(one.title, one.id) for one in studio.available_bases() if one.supported]
    current = studio.settings.base
    if all(reference != current for _, reference in found):
        found.append((current, current))
    return found


def unsupported(studio: Studio) -> str:
    """Models on this machine that cannot be used, each with the reason."""
    others = [one for one in studio.available_bases() if not one.supported]
    if not others:
        return ""
    lines = "".join(f"<li>{escape(one.reason)}</li>" for one in others)
    count = "1 model here cannot" if len(others) == 1 else f"{len(others)} models here cannot"
    return f'<details class="others"><summary>{count} be used</summary><ul>{lines}</ul></details>'


def use(studio: Studio, readiness: Readiness, reference: str | None) -> str:
    """Take another base model, and load it at once; whether it can be used, `readiness` tells.

    Returns why the choice is not kept for the next start, where it is not. Raises `PerfusionError` for a
    reference that is too long to be one.
    """
    wanted = bounded(reference, LONGEST_PATH, "The base model's name").strip("\"'") or "pocket"
    wanted = _absolute(wanted)
    studio.use_base(wanted)
    readiness.begin()
    try:
        prefer(studio.settings.home, base=wanted)
    except PerfusionError as error:
        return str(error)
    return ""


def _absolute(reference: str) -> str:
    """The absolute path of a file or folder that exists; any other reference as it is."""
    try:
        path = Path(reference).expanduser().absolute()
        return str(path) if path.exists() else reference
    except (OSError, RuntimeError, ValueError):  # too long for a file name, of an unknown user, a zero byte
        return reference


def made_for_another(studio: Studio, entry: LibraryEntry) -> str:
    """A sentence for a concept that was trained on other weights than those in memory; else empty."""
    base, facts = studio.base, entry.metadata
    if base is None or facts.base_fingerprint == base.fingerprint:
        return ""
    taught_on = "another version of it" if facts.base == base.id else facts.base
    return f"<{entry.name}> was taught on {taught_on}. On {base.id} it looks different, or does not fit."
