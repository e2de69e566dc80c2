"""The concepts there are to explore, and a prompt that names them."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from perfusion_core.studio.app import Studio


# The choice of no second concept.
ALONE = ("one concept alone", "")


def names(studio: Studio) -> list[str]:
    return [entry.name for entry in studio.library.entries()]


def opening(name: str | None, against: str | None) -> str:
    """A prompt that names what is to be explored."""
    if not name:
        return ""
    return (
        f"a photo of a <{name}> next to a <{against}>"
        if against and against != name
        else f"a photo of a <{name}> on the beach"
    )
