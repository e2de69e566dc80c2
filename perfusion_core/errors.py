"""What can go wrong in a way the user can act on.

Every message says what is wrong, names the thing, and ends with the next step; it is shown to people as it
is. A bug of ours is never one of these: that is an ``assert`` or an ordinary Python exception.
"""

from __future__ import annotations

from perfusion_core.printable import printable


class PerfusionError(Exception):
    """Something the user asked for cannot be done; the text says why and what to do next."""


class PhotoError(PerfusionError):
    """A photo, or the set of photos, cannot be used."""


class ConceptError(PerfusionError):
    """A concept, its name or its file is refused."""


class PromptError(PerfusionError):
    """No image can be generated from a prompt as it is written."""


class BaseModelError(PerfusionError):
    """A base model is missing, not supported or does not fit."""


class LoraError(PerfusionError):
    """A LoRA is missing, no LoRA, damaged, or does not fit the base model."""


class TrainingError(PerfusionError):
    """Training cannot start, or had to stop."""


class LibraryError(PerfusionError):
    """The library cannot do that with what it holds."""


class NameTakenError(LibraryError):
    """Another concept has the name, or one that looks like it."""


def first_line(error: BaseException) -> str:
    """What a library's error says, short enough to stand inside a sentence of ours."""
    lines = str(error).strip().splitlines()
    return printable(lines[0] if lines else type(error).__name__)[:200]
