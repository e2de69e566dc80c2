"""The concepts there are to explore, and a prompt that names them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from perfusion_core.studio.creating.mentions import mentioned

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


def fitting(prompt: str | None, name: str | None, against: str | None, names: list[str]) -> str:
    """The prompt itself where it mentions just what is chosen of `names`; else one that does."""
    chosen = {one for one in (name, against) if one}
    if prompt and chosen == set(mentioned(prompt, names)):
        return prompt
    return opening(name, against)
