"""The concepts a person has: one folder each, and the files in it are the truth.

    <home>/library/<id>/concept.safetensors   the concept; a folder without one is not listed
    <home>/library/<id>/thumbnail.png         what the card shows
    <home>/library/<id>/run/                  photos, masks, checkpoints and previews of its teaching
    <home>/trash/<id>/                        deleted concepts, until they are restored or the trash is
    emptied

Folders are named by a random id, never by what a person typed. Every change is one atomic write or one
rename, so a kill at any moment leaves the library as it was before or as it was meant to be.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import uuid
from collections.abc import Generator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from perfusion_core.concept import (
    ConceptMetadata,
    concept_bytes,
    load_concept,
    read_metadata,
    save_concept,
    validate_name,
)
from perfusion_core.errors import LibraryError, PerfusionError
from perfusion_core.files import remove_folder, write_atomic
from perfusion_core.studio.library.thumbnails import card_bytes, from_embedded

if TYPE_CHECKING:
    from PIL import Image

    from perfusion_core.concept import Concept

CONCEPT_FILE = "concept.safetensors"
THUMBNAIL_FILE = "thumbnail.png"
RUN_FOLDER = "run"
LONGEST_NOTES = 2000

Precision = Literal["float32", "float16"]


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
        path = self.folder / THUMBNAIL_FILE
        return path if path.is_file() else None

    def load(self) -> Concept:
        """The whole concept, checked. Raises `ConceptError`."""
        return load_concept(self.file)


@dataclass(frozen=True)
class Deleted:
    """A concept in the trash; `Library.restore(id)` brings it back."""

    id: str
    name: str
    deleted_at: float


class Library:
    """Concepts under one home folder. Cheap to make; holds no state but paths."""

    def __init__(self, home: Path) -> None:
        self.folder = home / "library"
        self.trash = home / "trash"

    # Reading

    def entries(self) -> list[LibraryEntry]:
        """Every readable concept, newest first. A damaged file hides only itself; see `damaged`."""
        return [entry for entry, _ in self._scan(self.folder) if entry is not None]

    def damaged(self) -> list[str]:
        """What is wrong with each file that `entries` had to leave out."""
        return [problem for entry, problem in self._scan(self.folder) if entry is None]

    def get(self, name: str) -> LibraryEntry:
        """The concept called `name` (in any case, with or without its brackets). Raises `LibraryError`."""
        found = self.find(name)
        if found is None:
            known = ", ".join(entry.placeholder for entry in self.entries()) or "none yet"
            raise LibraryError(
                f"There is no concept <{_plain(name)}> in the library (there: {known}). Teach or import it "
                "first."
            )
        return found

    def find(self, name: str) -> LibraryEntry | None:
        wanted = _plain(name).casefold()
        return next((entry for entry in self.entries() if entry.name.casefold() == wanted), None)

    def load(self, name: str) -> Concept:
        return self.get(name).load()

    # Adding

    def begin(self) -> Path:
        """A folder for a concept that is still being taught. It is not listed before `add` puts one into
        it.
        """
        folder = self.folder / _new_id()
        _make_folder(folder / RUN_FOLDER)
        return folder

    def discard(self, folder: Path) -> None:
        """Delete a folder that `begin` gave and that has not come to a concept."""
        if not (folder / CONCEPT_FILE).exists():
            remove_folder(folder)

    def unfinished(self) -> list[Path]:
        """Folders of teachings that have not come to a concept, latest first."""
        if not self.folder.is_dir():
            return []
        found = [
            f for f in self.folder.iterdir() if (f / RUN_FOLDER).is_dir() and not (f / CONCEPT_FILE).exists()
        ]
        return sorted(found, key=lambda folder: -folder.stat().st_mtime)

    def check_free(self, name: str) -> None:
        """Raise `LibraryError` when there is a concept called `name` already."""
        self._check_free(_plain(name), overwrite=False)

    def add(
        self,
        concept: Concept,
        *,
        thumbnail: Image.Image | None = None,
        folder: Path | None = None,
        overwrite: bool = False,
    ) -> LibraryEntry:
        """Keep `concept`, in the folder that `begin` gave when it was taught here.

        Raises `LibraryError` when the name is taken, unless `overwrite`: then the old one goes to the trash.
        """
        with self._changing():
            taken = self._check_free(concept.name, overwrite)
            home = folder if folder is not None else self.folder / _new_id()
            _make_folder(home)
            if thumbnail is not None:
                write_atomic(home / THUMBNAIL_FILE, card_bytes(thumbnail))
            save_concept(concept, home / CONCEPT_FILE)  # last: from here on it is listed
            if taken is not None:
                self._to_trash(taken)  # after the new one is safe, so that a kill never loses both
        return _read_entry(home)

    def import_file(self, path: Path, *, name: str | None = None, overwrite: bool = False) -> LibraryEntry:
        """Take a concept file from anyone. Refusals are `ConceptError` (the file) or `LibraryError` (the
        name).
        """
        concept = load_concept(path)
        if name is not None:
            concept = concept.with_metadata(name=validate_name(_plain(name)))
        return self.add(concept, thumbnail=from_embedded(concept.metadata.thumbnail), overwrite=overwrite)

    def duplicate(self, name: str, new_name: str) -> LibraryEntry:
        """A second concept with the same content, to be set differently."""
        entry = self.get(name)
        copy = entry.load().with_metadata(name=validate_name(_plain(new_name)))
        thumbnail = entry.thumbnail
        if thumbnail is None:
            return self.add(copy)
        from PIL import Image

        with Image.open(thumbnail, formats=["PNG"]) as picture:
            return self.add(copy, thumbnail=picture)

    # Changing

    def rename(self, name: str, new_name: str) -> LibraryEntry:
        """Call it something else. Prompts then use the new placeholder."""
        with self._changing():
            entry = self.get(name)
            canonical = validate_name(_plain(new_name))
            other = self.find(canonical)
            if other is not None and other.id != entry.id:
                raise LibraryError(_taken(canonical, "choose a third name"))
            return self._update(entry, name=canonical)

    def set_notes(self, name: str, notes: str) -> LibraryEntry:
        if len(notes) > LONGEST_NOTES:
            raise LibraryError(
                f"Notes may have {LONGEST_NOTES} characters; these have {len(notes)}. Shorten them."
            )
        with self._changing():
            return self._update(self.get(name), notes=notes)

    def set_bias(self, name: str, lock: str, bias: float) -> LibraryEntry:
        """Keep `bias` as this concept's setting for `lock`."""
        with self._changing():
            entry = self.get(name)
            return self._update(entry, bias={**entry.metadata.bias, lock: bias})

    def set_thumbnail(self, name: str, picture: Image.Image) -> LibraryEntry:
        with self._changing():
            entry = self.get(name)
            write_atomic(entry.folder / THUMBNAIL_FILE, card_bytes(picture))
            return entry

    def delete(self, name: str) -> Deleted:
        """Move a concept to the trash. `restore` with the returned id undoes it."""
        with self._changing():
            return self._to_trash(self.get(name))

    def restore(self, deleted_id: str) -> LibraryEntry:
        """Take a concept out of the trash. Raises `LibraryError` when its name has been given away since."""
        with self._changing():
            entry = next((e for e, _ in self._scan(self.trash) if e is not None and e.id == deleted_id), None)
            if entry is None:
                raise LibraryError(
                    f"There is nothing to restore under {deleted_id!r}; the trash may have been emptied."
                )
            self._check_free(entry.name, overwrite=False)
            _make_folder(self.folder)
            os.replace(entry.folder, self.folder / entry.id)
        return _read_entry(self.folder / entry.id)

    def deleted(self) -> list[Deleted]:
        """What is in the trash, latest first."""
        found = [
            Deleted(entry.id, entry.name, entry.folder.stat().st_mtime)
            for entry, _ in self._scan(self.trash)
            if entry is not None
        ]
        return sorted(found, key=lambda deleted: -deleted.deleted_at)

    def empty_trash(self) -> None:
        """Delete for good what is in the trash."""
        if self.trash.is_dir():
            shutil.rmtree(self.trash)

    def export(
        self, name: str, path: Path, *, precision: Precision = "float32", overwrite: bool = False
    ) -> Path:
        """Write a copy for someone else. `path` may be a folder. float16 is the compact form."""
        entry = self.get(name)
        target = path / f"{entry.name}.safetensors" if path.is_dir() else path
        if target.exists() and not overwrite:
            raise LibraryError(
                f"{target} is there already. Choose another name, or overwrite it (--overwrite)."
            )
        write_atomic(target, concept_bytes(entry.load(), precision))
        return target

    # Inside

    def _update(self, entry: LibraryEntry, **changes: Any) -> LibraryEntry:
        save_concept(entry.load().with_metadata(**changes), entry.file)
        return _read_entry(entry.folder)

    def _check_free(self, name: str, overwrite: bool) -> LibraryEntry | None:
        taken = self.find(name)
        if taken is not None and not overwrite:
            raise LibraryError(_taken(taken.name, "choose another name, or overwrite it (--overwrite)"))
        return taken

    def _to_trash(self, entry: LibraryEntry) -> Deleted:
        _make_folder(self.trash)
        target = self.trash / entry.id
        os.replace(entry.folder, target)
        with contextlib.suppress(OSError):
            os.utime(target)  # the folder's time is the time of deletion
        return Deleted(entry.id, entry.name, target.stat().st_mtime)

    def _scan(self, folder: Path) -> list[tuple[LibraryEntry | None, str]]:
        found: list[tuple[LibraryEntry | None, str]] = []
        if not folder.is_dir():
            return found
        for child in folder.iterdir():
            if not (child / CONCEPT_FILE).is_file():
                continue
            try:
                found.append((_read_entry(child), ""))
            except (PerfusionError, OSError) as error:
                found.append((None, str(error)))
        return sorted(found, key=lambda pair: -(pair[0].modified if pair[0] is not None else 0.0))

    @contextlib.contextmanager
    def _changing(self) -> Generator[None]:
        """Held from the look at a name to its use, so that two programs cannot give it away twice."""
        from filelock import FileLock, Timeout

        _make_folder(self.folder)
        try:
            with FileLock(self.folder / ".lock", timeout=30):
                yield
        except Timeout:
            raise LibraryError(
                "Another program has been changing the library for half a minute. Close it and try again."
            ) from None
        except PermissionError as error:
            raise LibraryError(
                f"The library cannot be changed: {error}. Check the folder's permissions."
            ) from None


def _read_entry(folder: Path) -> LibraryEntry:
    file = folder / CONCEPT_FILE
    metadata = read_metadata(file)
    status = file.stat()
    return LibraryEntry(folder.name, folder, metadata, status.st_size, status.st_mtime)


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise LibraryError(
            f"The folder {folder} cannot be made ({error.strerror}). Set PERFUSION_HOME to one that can."
        ) from None


def _new_id() -> str:
    return uuid.uuid4().hex[:12]


def _plain(name: str) -> str:
    return name.strip().removeprefix("<").removesuffix(">")


def _taken(name: str, way_out: str) -> str:
    return f"There is a concept <{name}> already: {way_out}."
