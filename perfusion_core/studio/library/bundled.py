"""What a new library holds: the concepts that come with the project."""

from __future__ import annotations

import uuid
from pathlib import Path
from typing import TYPE_CHECKING

from perfusion_core.concept import read_metadata
from perfusion_core.errors import PerfusionError
from perfusion_core.files import write_atomic
from perfusion_core.studio.library.entry import CONCEPT_FILE, THUMBNAIL_FILE
from perfusion_core.studio.library.thumbnails import card_bytes, from_embedded

if TYPE_CHECKING:
    from perfusion_core.studio.library.library import Library

FOLDER = Path(__file__).parents[3] / "assets" / "concepts"


def welcome(library: Library, folder: Path = FOLDER) -> list[str]:
    """Put the bundled concepts into a library that has never been used; returns their names.

    A library whose concepts were all deleted has been used: they do not come back. Only headers are read, so
    that the first start is as quick as the others; the rest is checked when a concept is used.
    """
    if library.folder.exists() or not folder.is_dir():
        return []
    names: list[str] = []
    for path in sorted(folder.glob("*.safetensors"), reverse=True):  # the last one written is listed first
        try:
            metadata = read_metadata(path)
        except PerfusionError:
            continue  # a damaged example is no reason not to open the app
        home = library.folder / uuid.uuid4().hex[:12]
        home.mkdir(parents=True)
        picture = from_embedded(metadata.thumbnail)
        if picture is not None:
            write_atomic(home / THUMBNAIL_FILE, card_bytes(picture))
        write_atomic(home / CONCEPT_FILE, path.read_bytes())  # last: from here on it is listed
        names.append(metadata.name)
    return names
