"""The library of concepts: one folder each; the files are the only state.

    <home>/library/<id>/concept.safetensors   the concept; a folder without one is not listed
    <home>/library/<id>/thumbnail.png         what the card shows
    <home>/library/<id>/run/                  photos, masks, checkpoints and previews of its training
    <home>/trash/<id>/                        deleted concepts, until they are restored

Folders are named by a random id, never by what a person typed. A new folder is filled beside the others under
a name that is never listed, and moved in when it is whole. Every other change is one atomic write or one
rename. So a kill at any moment leaves the library as it was before or as it was meant to be.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from perfusion_core.concept import concept_bytes, load_concept, validate_name
from perfusion_core.concept_name import require_distinct
from perfusion_core.errors import ConceptError, LibraryError, NameTakenError, PerfusionError
from perfusion_core.files import explained, move_folder, remove_folder, write_atomic
from perfusion_core.studio.library.entry import (
    CONCEPT_FILE,
    DRAFT_PREFIX,
    RUN_FOLDER,
    Deleted,
    LibraryEntry,
    read_entry,
    scan,
)
from perfusion_core.studio.library.folders import changing, free_place, moved_in, private_folder
from perfusion_core.studio.library.names import free_name, plain
from perfusion_core.studio.library.stored import filling, stored_bytes
from perfusion_core.studio.library.thumbnails import from_embedded, read_card

if TYPE_CHECKING:
    from PIL import Image

    from perfusion_core.concept import Concept

LONGEST_NOTES = 2000

Precision = Literal["float32", "float16"]


class Library:
    """Concepts under one home folder. Cheap to make; holds no state but paths.

    Raises `LibraryError` or another `PerfusionError`, never `OSError`.
    """

    def __init__(self, home: Path) -> None:
        self.home = home
        self.folder = home / "library"
        self.trash = home / "trash"

    # Reading

    def entries(self) -> list[LibraryEntry]:
        """Every readable concept, newest first. A damaged file hides only itself; see `damaged`."""
        return [entry for entry, _ in scan(self.folder) if entry is not None]

    def damaged(self) -> list[str]:
        """What is wrong with each file that `entries` had to leave out."""
        return [problem for entry, problem in scan(self.folder) if entry is None]

    def get(self, name: str) -> LibraryEntry:
        """The concept called `name` (in any case, with or without its brackets). Raises `LibraryError`."""
        found = self.find(name)
        if found is None:
            known = ", ".join(entry.placeholder for entry in self.entries()) or "none yet"
            raise LibraryError(
                f"There is no concept <{plain(name)}> in the library (there: {known}). Teach or import it "
                "first."
            )
        return found

    def find(self, name: str) -> LibraryEntry | None:
        return next(iter(self._called(name)), None)

    def load(self, name: str) -> Concept:
        return self.get(name).load()

    # Adding

    def begin(self, fill: Callable[[Path], None] = lambda folder: None) -> Path:
        """A folder for a concept that is still in training, with what `fill` writes into it.

        It is not listed before `add` puts a concept into it. When `fill` raises, there is no folder.
        """

        def make(folder: Path) -> None:
            private_folder(folder / RUN_FOLDER)
            fill(folder)

        return moved_in(self.folder, make)

    def discard(self, folder: Path) -> None:
        """Delete a folder that `begin` gave and that holds no finished concept."""
        if not (folder / CONCEPT_FILE).exists():
            remove_folder(folder)

    def unfinished(self) -> list[Path]:
        """Folders of teachings without a finished concept, latest first."""
        found: list[tuple[float, Path]] = []
        with contextlib.suppress(OSError):
            for folder in self.folder.iterdir():
                with contextlib.suppress(OSError):  # another program may have finished or deleted it
                    begun = not folder.name.startswith(DRAFT_PREFIX) and (folder / RUN_FOLDER).is_dir()
                    if begun and not (folder / CONCEPT_FILE).exists():
                        found.append((folder.stat().st_mtime, folder))
        return [folder for _, folder in sorted(found, key=lambda pair: -pair[0])]

    def finished(self, folder: Path) -> LibraryEntry | None:
        """The concept that the training in `folder` has come to; None before that, or when it is damaged."""
        with contextlib.suppress(PerfusionError, OSError):
            entry = read_entry(folder)
            entry.load()
            return entry
        return None

    def check_free(self, name: str) -> None:
        """Raise `LibraryError` when there is a concept called `name` already."""
        self._check_free(plain(name), overwrite=False)

    def add(
        self,
        concept: Concept,
        *,
        thumbnail: Image.Image | None = None,
        folder: Path | None = None,
        overwrite: bool = False,
    ) -> LibraryEntry:
        """Keep `concept`, in the folder that `begin` gave when it was trained here.

        Adding once more into the same folder replaces what is there. Raises `LibraryError` when another
        concept has the name, unless `overwrite`: then that one goes to the trash. Raises `ConceptError` for a
        concept whose file would be refused. Then nothing was changed.
        """
        fill = filling(concept, thumbnail)
        with changing(self.folder):
            taken = self._check_free(concept.name, overwrite, but=folder)
            if folder is None:
                home = moved_in(self.folder, fill)
            else:
                home = private_folder(folder)
                fill(home)
            for other in taken:
                self._to_trash(other)  # after the new one is safe, so that a kill never loses both
            return self._reread(home)

    def import_file(self, path: Path, *, name: str | None = None, overwrite: bool = False) -> LibraryEntry:
        """Import a concept file. Raises `ConceptError` (for the file) or `LibraryError` (the name)."""
        concept = load_concept(path)
        if name is not None:
            concept = concept.with_metadata(name=validate_name(plain(name)))
        return self.add(concept, thumbnail=from_embedded(concept.metadata.thumbnail), overwrite=overwrite)

    def duplicate(self, name: str, new_name: str) -> LibraryEntry:
        """A second concept with the same content, to be set differently."""
        entry = self.get(name)
        copy = entry.load().with_metadata(name=validate_name(plain(new_name)))
        return self.add(copy, thumbnail=read_card(entry.thumbnail))

    def free_name(self, name: str, suffix: str = "") -> str:
        """`name` and `suffix` as a name that no concept has: shortened and numbered where that is needed."""
        return free_name(name, [entry.name for entry in self.entries()], suffix)

    # Changing

    def rename(self, name: str, new_name: str) -> LibraryEntry:
        """Call it something else. Prompts then use the new placeholder."""
        with changing(self.folder):
            entry = self.get(name)
            canonical = validate_name(plain(new_name))
            other = self.find(canonical)
            if other is not None and other.id != entry.id:
                raise _taken(canonical, "choose a third name")
            require_distinct(canonical, (other.name for other in self.entries() if other.id != entry.id))
            return self._update(entry, name=canonical)

    def set_notes(self, name: str, notes: str) -> LibraryEntry:
        if len(notes) > LONGEST_NOTES:
            raise LibraryError(
                f"Notes may have {LONGEST_NOTES} characters; these have {len(notes)}. Shorten them."
            )
        with changing(self.folder):
            return self._update(self.get(name), notes=notes)

    def set_bias(self, name: str, lock: str, bias: float) -> LibraryEntry:
        """Keep `bias` as this concept's setting for `lock`."""
        with changing(self.folder):
            entry = self.get(name)
            return self._update(entry, bias={**entry.metadata.bias, lock: bias})

    def delete(self, name: str) -> Deleted:
        """Move a concept to the trash. `restore` with the returned id undoes it."""
        with changing(self.folder):
            return self._to_trash(self.get(name))

    def restore(self, deleted_id: str) -> LibraryEntry:
        """Take a concept out of the trash. Raises `LibraryError` when its name has been given away since."""
        with changing(self.folder):
            entry = next((e for e, _ in scan(self.trash) if e is not None and e.id == deleted_id), None)
            if entry is None:
                raise LibraryError(
                    f"There is nothing to restore under {deleted_id!r}; the trash may have been emptied."
                )
            self._check_free(entry.name, overwrite=False)
            target = free_place(self.folder, entry.id)
            move_folder(entry.folder, target)
            return self._reread(target)

    def deleted(self) -> list[Deleted]:
        """What is in the trash, latest first."""
        found: list[Deleted] = []
        for entry, _ in scan(self.trash):
            if entry is not None:
                with contextlib.suppress(FileNotFoundError):  # it is being restored
                    found.append(Deleted(entry.id, entry.name, entry.folder.stat().st_mtime))
        return sorted(found, key=lambda deleted: -deleted.deleted_at)

    def export(
        self, name: str, path: Path, *, precision: Precision = "float32", overwrite: bool = False
    ) -> Path:
        """Write a copy for someone else. `path` may be a folder. float16 is the compact form."""
        entry = self.get(name)
        with explained(f"“{path}” cannot be written", "Choose another place.", LibraryError):
            target = path / f"{entry.name}.safetensors" if path.is_dir() else path
            if target.exists() and not overwrite:
                raise LibraryError(
                    f"{target} is there already. Choose another name, or overwrite it (--overwrite)."
                )
        concept = entry.load()
        compact = precision == "float16"
        write_atomic(target, concept_bytes(concept, precision) if compact else stored_bytes(concept))
        return target

    # Inside

    def _called(self, name: str) -> list[LibraryEntry]:
        wanted = plain(name).casefold()
        return [entry for entry in self.entries() if entry.name.casefold() == wanted]

    def _update(self, entry: LibraryEntry, **changes: Any) -> LibraryEntry:
        content = stored_bytes(entry.load().with_metadata(**changes))
        write_atomic(entry.file, content, private=True)
        return self._reread(entry.folder)

    def _reread(self, folder: Path) -> LibraryEntry:
        with explained(f"The concept in {folder} cannot be read", "Check the disk.", LibraryError):
            return read_entry(folder)

    def _check_free(self, name: str, overwrite: bool, but: Path | None = None) -> list[LibraryEntry]:
        """The concepts called `name`, `but` for the one in that folder. Raises `LibraryError` unless they are
        to be overwritten, and for a name that looks like another's.
        """
        taken = [entry for entry in self._called(name) if but is None or entry.folder != but]
        if taken and not overwrite:
            raise _taken(taken[0].name, "choose another name, or overwrite it (--overwrite)")
        try:
            require_distinct(name, (entry.name for entry in self.entries()))
        except ConceptError as error:
            raise NameTakenError(str(error)) from None
        return taken

    def _to_trash(self, entry: LibraryEntry) -> Deleted:
        private_folder(self.trash)
        target = free_place(self.trash, entry.id)
        move_folder(entry.folder, target)
        now = time.time()
        with contextlib.suppress(OSError):
            os.utime(target, (now, now))  # the folder's time is the time of deletion
        return Deleted(target.name, entry.name, now)


def _taken(name: str, way_out: str) -> NameTakenError:
    return NameTakenError(f"There is a concept <{name}> already: {way_out}.")
