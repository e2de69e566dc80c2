"""Base models by the name that an image's recipe gives, among those already here.

Images are untrusted, and so is the name in them: it is only compared with known names, never used as a path,
and nothing is looked up, opened or fetched by it.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path, PurePath

from perfusion_core.container import shown
from perfusion_core.errors import BaseModelError
from perfusion_core.model.listing import BaseListing, available_bases
from perfusion_core.studio.settings import Settings


def known_base(settings: Settings, name: str, image: str) -> str:
    """How to load the base called `name`: the one in use, or another that is on this machine as a whole.

    Raises BaseModelError, naming the base and `image`, for any other.
    """
    if name in names_of(settings.base):
        return settings.base
    for listing in available_bases(settings.models_folder):
        if name in names_of(listing.id) and listing.supported and _is_whole(listing):
            return listing.id
    raise BaseModelError(
        f"{shown(image)} was made with the base model {shown(name)}, which is not on this machine, or not as "
        "a whole. It was not looked for anywhere else. If you know it, give it with --base."
    )


def names_of(reference: str) -> Iterator[str]:
    """What a loaded base may call itself: its reference, its folder's name, its file's without the ending."""
    path = PurePath(reference)
    yield reference
    yield path.name
    if path.suffix == ".safetensors":
        yield path.stem


def _is_whole(listing: BaseListing) -> bool:
    """Whether loading it fetches nothing: a model in the hub's cache may be there in part."""
    if "/" not in listing.id or Path(listing.id).is_absolute():
        return True
    return all(any((listing.path / part).glob("*.safetensors")) for part in listing.parts)
