"""How folders come into the library, leave it, and are kept from being changed by two programs at once."""

from __future__ import annotations

import contextlib
import time
import uuid
from collections.abc import Callable, Generator
from pathlib import Path

from perfusion_core.errors import LibraryError
from perfusion_core.files import make_folder, move_folder, remove_folder
from perfusion_core.studio.library.entry import DRAFT_PREFIX

DEAD_AFTER = 24 * 3600.0  # seconds after which an unfinished folder is one of a killed process
WAY_OUT = "Set PERFUSION_HOME to one that can."


def private_folder(folder: Path) -> Path:
    """Make a folder for the user alone. Raises `LibraryError`."""
    return make_folder(folder, WAY_OUT, private=True, error=LibraryError)


def moved_in(library: Path, fill: Callable[[Path], None]) -> Path:
    """A new folder in `library` with what `fill` writes into it, or none when that raises.

    It is made under a name that is never listed and gets its own when it is whole.
    """
    id_ = new_id()
    draft = private_folder(library / f"{DRAFT_PREFIX}{id_}")
    try:
        fill(draft)
        move_folder(draft, library / id_)
    except BaseException:
        remove_folder(draft)
        raise
    return library / id_


@contextlib.contextmanager
def changing(library: Path) -> Generator[None]:
    """Held from the look at a name to its use, so that two programs cannot give it away twice.

    Raises `LibraryError` for what the disk refuses meanwhile.
    """
    from filelock import FileLock, Timeout

    private_folder(library)
    try:
        with FileLock(library / ".lock", timeout=30):
            _sweep(library)
            yield
    except Timeout:
        raise LibraryError(
            "Another program has been changing the library for half a minute. Close it and try again."
        ) from None
    except OSError as error:
        raise LibraryError(
            f"The library cannot be changed: {error}. Check the disk and the folder's permissions."
        ) from None


def free_place(folder: Path, id_: str) -> Path:
    """A path in `folder` for a folder called `id_`; under another id when that was made again meanwhile."""
    target = folder / id_
    return target if not target.exists() else folder / new_id()


def new_id() -> str:
    return uuid.uuid4().hex[:12]


def _sweep(library: Path) -> None:
    """Delete unfinished folders that a killed process left behind."""
    for draft in library.glob(f"{DRAFT_PREFIX}*"):
        with contextlib.suppress(OSError):
            if time.time() - draft.stat().st_mtime > DEAD_AFTER:
                remove_folder(draft)
