"""Many concept files into the library in one go, and what became of each.

Whatever happens, a file is taken whole or not at all, and importing the same files again is safe: what is
here already is passed over.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from perfusion_core.concept import load_concept
from perfusion_core.concept_name import require_distinct
from perfusion_core.container import shown
from perfusion_core.errors import LibraryError, PerfusionError
from perfusion_core.files import explained, is_folder
from perfusion_core.studio.library.folders import changing, moved_in
from perfusion_core.studio.library.names import free_name
from perfusion_core.studio.library.stored import filling
from perfusion_core.studio.library.thumbnails import from_embedded

if TYPE_CHECKING:
    from perfusion_core.concept import Concept
    from perfusion_core.studio.library.library import Library, LibraryEntry

SUFFIX = ".safetensors"
MOST_FILES = 10_000
# What a teaching keeps beside its checkpoint; the concept it came to is a file of its own.
_OF_A_RUN, _CHECKPOINT = ("best.safetensors", "last.safetensors"), "checkpoint.pt"
_AT_A_TIME = 50  # files, between which another program may change the library


@dataclass
class ImportSummary:
    """What became of each file.

    names: what those imported are called, and in `renamed` a sentence for each that is called otherwise in
    its file; known, refused: a sentence for each that is here already, and for each that was not taken;
    not_tried: the files left when the disk failed, and `stopped` says how.
    """

    names: list[str] = field(default_factory=list[str])
    renamed: list[str] = field(default_factory=list[str])
    known: list[str] = field(default_factory=list[str])
    refused: list[str] = field(default_factory=list[str])
    not_tried: list[str] = field(default_factory=list[str])
    stopped: str = ""

    @property
    def whole(self) -> bool:
        """Whether every file is in the library now."""
        return not (self.refused or self.not_tried)

    def headline(self) -> str:
        """All of it in numbers."""
        taken = len(self.names)
        parts = [f"{taken} concept{'' if taken == 1 else 's'} imported"]
        parts += [f"{len(self.known)} here already"] if self.known else []
        parts += [f"{len(self.refused)} refused"] if self.refused else []
        parts += [f"{len(self.not_tried)} not tried"] if self.not_tried else []
        return f"{', '.join(parts)}."

    def lines(self) -> list[str]:
        """Every file that needs a word, the ones that were not taken first."""
        found = [*self.refused]
        if self.not_tried:
            found.append(
                f"{self.stopped} Not tried: {', '.join(self.not_tried)}. Then import them all again: what is "
                "here already is passed over."
            )
        return [*found, *self.renamed, *self.known]


def concept_files(folder: Path) -> list[Path]:
    """Every concept file in a folder and below, but for hidden ones and those of a run's checkpoints.

    Raises `LibraryError` when there is none, or no such folder.
    """
    if not is_folder(folder):
        raise LibraryError(f"There is no folder {shown(str(folder))}. Choose the one with the concept files.")
    with explained(f"{folder} cannot be read", "Choose another folder.", LibraryError):
        every = sorted(folder.rglob(f"*{SUFFIX}"))
    found = [
        path
        for path in every
        if not any(part.startswith(".") for part in path.relative_to(folder).parts)
        and not (path.name in _OF_A_RUN and path.with_name(_CHECKPOINT).exists())
    ]
    if not found:
        raise LibraryError(f"There is no concept file (*{SUFFIX}) in {shown(str(folder))}. Choose another.")
    if len(found) > MOST_FILES:
        raise LibraryError(
            f"There are {len(found)} files in {shown(str(folder))}, more than the {MOST_FILES} that are "
            "taken at once. Import its folders one by one."
        )
    return found


def concepts_among(uploaded: Sequence[Path]) -> list[Path]:
    """The concept files among those of a folder that a browser sent, which come without their folders.

    Raises `LibraryError` when there is none.
    """
    of_a_run = _OF_A_RUN if any(path.name == _CHECKPOINT for path in uploaded) else ()
    found = [
        path
        for path in uploaded
        if path.suffix.lower() == SUFFIX and not path.name.startswith(".") and path.name not in of_a_run
    ]
    if not found:
        raise LibraryError(f"There is no concept file (*{SUFFIX}) in that folder. Choose another.")
    return sorted(found, key=lambda path: path.name)


def import_many(
    library: Library,
    paths: Sequence[Path],
    root: Path | None = None,
    tell: Callable[[int, int], None] = lambda done, total: None,
) -> ImportSummary:
    """Import concept files; one that cannot be taken does not keep the others out.

    A concept whose name is taken gets a number. In messages, files are named as they lie below `root`. `tell`
    hears how many of how many files are done. Raises nothing but what `tell` raises: where the disk fails,
    the summary says so.
    """
    summary = ImportSummary()
    for start in range(0, len(paths), _AT_A_TIME):
        done = start
        try:
            with changing(library.folder):
                shelf = _Shelf(library)
                for path in paths[start : start + _AT_A_TIME]:
                    shelf.take(path, _said(path, root), summary)
                    done += 1
                    tell(done, len(paths))
        except PerfusionError as error:  # the disk's, not a file's
            summary.stopped = str(error)
            summary.not_tried += [_said(path, root) for path in paths[done:]]
            break
    return summary


class _Shelf:
    """The names and contents in the library, read once while nobody else changes it."""

    def __init__(self, library: Library) -> None:
        self._folder = library.folder
        self._names: list[str] = []
        self._alike: dict[tuple[str, str], list[LibraryEntry]] = {}
        for entry in library.entries():
            self._names.append(entry.name)
            self._alike.setdefault(_marks(entry), []).append(entry)
        self._new: dict[str, str] = {}  # content hash -> name

    def take(self, path: Path, said: str, summary: ImportSummary) -> None:
        """Import one file, or note why not. Raises `PerfusionError` for what the disk refuses."""
        try:
            concept = load_concept(path)
            here = self._find(concept)
            if here is not None:
                summary.known.append(f"{said} is here already as <{here}>.")
                return
            name = free_name(concept.name, self._names)
            require_distinct(name, self._names)
            named = concept if name == concept.name else concept.with_metadata(name=name)
            fill = filling(named, from_embedded(named.metadata.thumbnail))
        except PerfusionError as error:
            reason = str(error)  # names the file itself, mostly
            summary.refused.append(reason if reason.startswith(said) else f"{said}: {reason}")
            return
        moved_in(self._folder, fill)
        self._names.append(name)
        self._new[named.content_hash] = name
        summary.names.append(name)
        if name != concept.name:
            summary.renamed.append(f"{said} is <{name}> here: there was a <{concept.name}> already.")

    def _find(self, concept: Concept) -> str | None:
        """The name under which this very concept is here."""
        for entry in self._alike.get((concept.metadata.created_at, concept.metadata.base_fingerprint), ()):
            with suppress(PerfusionError):  # a damaged one is not the same
                if entry.load().content_hash == concept.content_hash:
                    return entry.name
        return self._new.get(concept.content_hash)


def _marks(entry: LibraryEntry) -> tuple[str, str]:
    """What copies of one concept share by their headers, whatever they are called."""
    return entry.metadata.created_at, entry.metadata.base_fingerprint


def _said(path: Path, root: Path | None) -> str:
    inside = root is not None and path.is_relative_to(root)
    return shown(path.relative_to(root).as_posix() if inside and root is not None else path.name)
