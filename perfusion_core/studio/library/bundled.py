"""What a new library holds: the concepts that come with the project."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from perfusion_core.concept import read_metadata
from perfusion_core.errors import PerfusionError
from perfusion_core.files import explained, move_folder, remove_folder, write_atomic
from perfusion_core.studio.library.entry import CONCEPT_FILE, THUMBNAIL_FILE
from perfusion_core.studio.library.folders import new_id, private_folder
from perfusion_core.studio.library.thumbnails import card_bytes, from_embedded

if TYPE_CHECKING:
    from perfusion_core.studio.library.library import Library

FOLDER = Path(__file__).parents[3] / "assets" / "concepts"


def welcome(library: Library, folder: Path = FOLDER) -> list[str]:
    """Put the bundled concepts into a library that has never been used; returns their names.

    A library whose concepts were all deleted has been used: they do not come back. All of them come at once,
    or none does; a full disk does not keep the program from starting. Only headers are read, so that the
    first start is as quick as the others; the rest is checked when a concept is used.
    """
    if library.folder.exists() or not folder.is_dir():
        return []
    draft = library.folder.with_name(f".new-library-{new_id()}")
    try:
        private_folder(draft)
        names = [_copy(path, draft) for path in sorted(folder.glob("*.safetensors"), reverse=True)]
        move_folder(draft, library.folder)  # the last one written is listed first
    except PerfusionError:
        remove_folder(draft)
        return []
    return [name for name in names if name]


def _copy(path: Path, library: Path) -> str:
    """Copy one concept file into a folder of its own; returns its name, empty for a damaged file."""
    try:
        metadata = read_metadata(path)
    except PerfusionError:
        return ""  # a damaged example is no reason not to open the app
    home = private_folder(library / new_id())
    image = from_embedded(metadata.thumbnail)
    if image is not None:
        write_atomic(home / THUMBNAIL_FILE, card_bytes(image), private=True)
    with explained(f"{path} cannot be read", "Install the program again."):
        write_atomic(home / CONCEPT_FILE, path.read_bytes(), private=True)
    return metadata.name
