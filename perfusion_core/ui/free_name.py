"""A name for a concept that the library does not have yet."""

from __future__ import annotations

from itertools import count
from typing import TYPE_CHECKING

from perfusion_core.concept_metadata import MAX_NAME_LENGTH

if TYPE_CHECKING:
    from perfusion_core.studio.library.library import Library


def free_name(library: Library, name: str) -> str:
    """`name` itself when it is free, else `name-2` and so on, shortened to what a name may have."""
    taken = {entry.name for entry in library.entries()}
    if name not in taken:
        return name
    for number in count(2):
        ending = f"-{number}"
        found = name[: MAX_NAME_LENGTH - len(ending)] + ending
        if found not in taken:
            return found
    raise AssertionError  # count() does not end
