"""Names of concepts as a person types them, and free ones."""

from __future__ import annotations

from collections.abc import Iterable

from perfusion_core.concept_name import MAX_NAME_LENGTH, looks


def plain(name: str) -> str:
    """A name without the brackets it has in a prompt."""
    return name.strip().removeprefix("<").removesuffix(">")


def free_name(name: str, taken: Iterable[str], suffix: str = "") -> str:
    """`name` with `suffix`, or with a number behind that, so that it neither is nor looks like one of
    `taken`.

    The name is shortened where the whole would be longer than a name may be; never the suffix or the number.
    """
    known = {looks(other) for other in taken}
    number, ending = 1, suffix
    while looks(found := f"{name[: MAX_NAME_LENGTH - len(ending)].rstrip('-_')}{ending}") in known:
        number += 1
        ending = f"{suffix}-{number}"
    return found
