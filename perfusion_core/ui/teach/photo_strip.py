"""The photos of a teaching as a strip of thumbnails; each can be edited, or left out."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING

from perfusion_core.ui.html import escape

if TYPE_CHECKING:
    from perfusion_core.studio.teaching.staging import Staged
    from perfusion_core.ui.served import Served


def thumbnails(staged: list[Staged], served: Served) -> str:
    """The photos as they will be learned from, each with a button to leave it out."""
    if not staged:
        return ""
    figures = "".join(
        f'<figure><button type="button" class="open" data-open="{k}" data-photo="{_key(one)}" '
        f'aria-label="Crop and mask of {escape(one.name)}" title="{escape(one.name)}: crop it, or paint its '
        f'mask"><img src="{escape(served.url(Path(one.thumbnail)))}" alt="{escape(one.name)}"></button>'
        f"{_mark(one)}"
        f'<button type="button" class="leave" data-pick="{k}" data-photo="{_key(one)}" '
        f'aria-label="Leave out {escape(one.name)}" title="Leave this one out">×</button></figure>'
        for k, one in enumerate(staged)
    )
    masked = any(one.masked for one in staged)
    words = (
        "Pale areas are not learned from."
        if masked
        else "Cropped and turned upright, as they are learned from."
    )
    words += " Click a photo to crop it or paint its mask."
    return f'<div class="photos">{figures}</div>{_turning(staged)}<p class="quiet">{words}</p>'


def clicked(staged: list[Staged], place: int, key: str) -> int | None:
    """Where the photo is now whose button was clicked: a page that shows photos of before may have had it at
    `place`. None when it is gone.
    """
    keys = [_key(one) for one in staged]
    if 0 <= place < len(keys) and keys[place] == key:
        return place
    return keys.index(key) if key in keys else None


def _key(one: Staged) -> str:
    """Tells a photo from the others without naming its file."""
    return hashlib.blake2b(one.source.encode(errors="surrogatepass"), digest_size=8).hexdigest()


def _turning(staged: list[Staged]) -> str:
    """An offer to turn the photos in which the subject faces the other way; empty when there are none."""
    away = [one.name for one in staged if one.away]
    if not away:
        return ""
    which = f"{len(away)} of the photos seem" if len(away) > 1 else "One of the photos seems"
    them = "them" if len(away) > 1 else "it"
    return (
        f'<p class="said">{which} to face the other way. Learned from both sides, a thing is drawn as '
        f'both at once. <button type="button" class="link" data-turn="away">Mirror {them}</button></p>'
    )


def _mark(one: Staged) -> str:
    """A label on a photo whose mask or square was made by hand, or whose subject faces away."""
    done = "your mask" if one.mask else "your crop" if one.crop else "faces away" if one.away else ""
    return f'<span class="mark">{done}</span>' if done else ""
