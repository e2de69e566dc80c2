"""One concept of the library as its folder says it; only headers are read."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from perfusion_core.concept import ConceptMetadata, load_concept, read_metadata
from perfusion_core.errors import PerfusionError
from perfusion_core.printable import is_text, printable
from perfusion_core.studio.library.thumbnails import is_card

if TYPE_CHECKING:
    from perfusion_core.concept import Concept

CONCEPT_FILE = "concept.safetensors"
THUMBNAIL_FILE = "thumbnail.png"
RUN_FOLDER = "run"
DRAFT_PREFIX = ".new-"  # an unfinished folder: never listed


@dataclass(frozen=True)
class LibraryEntry:
    """One concept as a card shows it. Only the file's header was read for it."""

    id: str
    folder: Path
    metadata: ConceptMetadata
    size: int  # bytes
    modified: float  # seconds since the epoch

    @property
    def name(self) -> str:
        return self.metadata.name

    @property
    def placeholder(self) -> str:
        return f"<{self.metadata.name}>"

    @property
    def file(self) -> Path:
        return self.folder / CONCEPT_FILE

    @property
    def run(self) -> Path:
        return self.folder / RUN_FOLDER

    @property
    def thumbnail(self) -> Path | None:
        """The card's image; None when there is none, or when it is not one that was written here."""
        path = self.folder / THUMBNAIL_FILE
        return path if is_card(path) else None

    def load(self) -> Concept:
        """The whole concept, checked. Raises `ConceptError`."""
        return load_concept(self.file)


@dataclass(frozen=True)
class Deleted:
    """A concept in the trash; `Library.restore(id)` brings it back."""

    id: str
    name: str
    deleted_at: float


def read_entry(folder: Path) -> LibraryEntry:
    """Raises `ConceptError` for a file that is refused, `OSError` for one that is gone."""
    file = folder / CONCEPT_FILE
    metadata = read_metadata(file)
    status = file.stat()
    return LibraryEntry(folder.name, folder, metadata, status.st_size, status.st_mtime)


def scan(folder: Path) -> list[tuple[LibraryEntry | None, str]]:
    """Every concept in a folder, newest first; for one that cannot be read None and the reason.

    Files written within one tick of the file system's clock are listed by name.
    """
    found: list[tuple[LibraryEntry | None, str]] = []
    try:
        children = list(folder.iterdir())
    except FileNotFoundError:
        return found
    except OSError as error:
        return [(None, f"{folder} cannot be read ({error.strerror}).")]
    for child in children:
        if child.name.startswith(DRAFT_PREFIX):
            continue
        try:
            if not (child / CONCEPT_FILE).is_file():
                continue
            if not is_text(child.name):
                found.append(
                    (None, f"{printable(str(child))} has a name that is no text in UTF-8. Rename it.")
                )
            else:
                found.append((read_entry(child), ""))
        except (PerfusionError, OSError) as error:
            found.append((None, str(error)))
    return sorted(found, key=_place)


def _place(found: tuple[LibraryEntry | None, str]) -> tuple[float, str]:
    entry, problem = found
    return (0.0, problem) if entry is None else (-entry.modified, entry.name)
