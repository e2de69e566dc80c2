"""All writing to the disk, atomic for files and folders alike, and the opening of untrusted files.

The functions that write raise PerfusionError, never OSError: a full disk, a read-only file system or a
missing folder is the user's to solve, and the message says how.
"""

from __future__ import annotations

import errno
import os
import secrets
import shutil
import stat
import time
from collections.abc import Generator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from perfusion_core.errors import PerfusionError

PRIVATE_FOLDER, PRIVATE_FILE = (
    0o700,
    0o600,
)  # the data folder holds photos and prompts: private to the user
_LEFTOVER_PREFIX, _LEFTOVER_SUFFIX = ".perfusion-", ".tmp"
# A folder that cannot be fsynced (some network drives) is no reason to call a finished save failed.
_FOLDER_SYNC_UNSUPPORTED = {errno.EINVAL, errno.ENOTSUP, errno.EBADF, errno.EACCES, errno.EISDIR}
_BINARY = getattr(os, "O_BINARY", 0)


def write_atomic(path: str | os.PathLike[str], data: bytes, *, private: bool = False) -> None:
    """Put ``data`` at ``path`` so that a reader, or a crash at any moment, sees the old file or the new one.

    When it returns, the data is on the disk and under its name. ``private`` files can be read by the user
    alone; others get the user's usual permissions. Raises PerfusionError (full disk, read-only or missing
    folder, ...); then whatever was at ``path`` before is still there, unless only the folder's last sync
    failed: then the new file is, and a power failure may bring the old one back.
    """
    path = Path(path)
    temporary = path.parent / f"{_LEFTOVER_PREFIX}{secrets.token_hex(8)}{_LEFTOVER_SUFFIX}"
    try:
        _write_and_sync(temporary, data, PRIVATE_FILE if private else 0o666)
        os.replace(temporary, path)
        _sync_folder(path.parent)
    except OSError as error:
        raise PerfusionError(_explain(error, path)) from error
    finally:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)


def append_line(path: Path, line: bytes) -> None:
    """Add one line to a private file. A line that a crash or a full disk cut off never swallows this one.

    Not synced: after a power failure the last lines may be missing. Raises PerfusionError.
    """
    try:
        with os.fdopen(
            os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | _BINARY, PRIVATE_FILE), "rb+"
        ) as file:
            end = file.seek(0, os.SEEK_END)
            if end:
                file.seek(end - 1)
                if file.read(1) != b"\n":
                    line = b"\n" + line
            file.write(line + b"\n")
    except OSError as error:
        raise PerfusionError(_explain(error, path)) from error


def make_folder(
    folder: Path,
    way_out: str = "Choose another folder.",
    *,
    private: bool = False,
    error: type[PerfusionError] = PerfusionError,
) -> Path:
    """Make a folder with its parents where they are missing, or say why that cannot be.

    ``private`` makes them accessible to the user alone; folders that exist keep their permissions. Raises
    ``error``, whose message ends with ``way_out``.
    """
    made: list[Path] = []
    try:
        missing = [path for path in (folder, *folder.parents) if not path.exists()]
        for path in reversed(missing):
            path.mkdir(PRIVATE_FOLDER if private else 0o777, exist_ok=True)
            made.append(path)
            _sync_folder(path.parent)
        if not folder.is_dir():
            raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR))
    except (OSError, ValueError) as problem:
        for path in reversed(made):
            with suppress(OSError):  # another thread may use it by now
                path.rmdir()
        raise error(f"The folder {folder} cannot be made ({_reason(problem)}). {way_out}") from problem
    return folder


def move_folder(source: Path, target: Path) -> None:
    """Give a folder another place on the same disk in one step. Raises PerfusionError; then nothing moved."""
    try:
        os.replace(source, target)
    except OSError as error:
        raise PerfusionError(
            f"{source} cannot be moved to {target} ({_reason(error)}). Check that both can be written to."
        ) from error
    with suppress(OSError):  # it has moved; an unsynced move may be undone by a power failure, as a whole
        for parent in {source.parent, target.parent}:
            _sync_folder(parent)


def remove_leftovers(folder: str | os.PathLike[str]) -> int:
    """Delete the temporary files that killed writes left in ``folder``; return how many there were.

    Call it only while no other process writes there.
    """
    count = 0
    for leftover in Path(folder).glob(f"{_LEFTOVER_PREFIX}*{_LEFTOVER_SUFFIX}"):
        with suppress(OSError):
            leftover.unlink()
            count += 1
    return count


def open_regular(path: str | os.PathLike[str]) -> BinaryIO:
    """Open a plain file for reading. Raises OSError for anything else, without opening it: a pipe would block
    its reader for ever, and a device may do something when it is opened.
    """
    _require_regular(os.stat(path))
    # Should it be exchanged for a pipe here, opening does not wait for a writer.
    flags = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
    file = os.fdopen(os.open(path, flags), "rb")
    try:
        _require_regular(os.fstat(file.fileno()))
    except OSError:
        file.close()
        raise
    return file


def is_folder(path: str | os.PathLike[str]) -> bool:
    """Whether there is a folder. False, and not an error, for what cannot be a path at all: too long, with a
    zero byte or half a character in it.
    """
    try:
        return stat.S_ISDIR(os.stat(path).st_mode)
    except (OSError, ValueError):
        return False


def lies_in(path: str | os.PathLike[str], folder: str | os.PathLike[str]) -> bool:
    """Whether `path` is `folder` or below it once links are followed. Neither has to be there; what cannot be
    a path at all lies nowhere.
    """
    try:
        return Path(os.path.realpath(path)).is_relative_to(os.path.realpath(folder))
    except ValueError:
        return False


def _require_regular(status: os.stat_result) -> None:
    if not stat.S_ISREG(status.st_mode):
        raise OSError(errno.EINVAL, "it is not a plain file")


def prune(folder: Path, pattern: str, *, keep: int = 0, older_than: float = 0.0) -> None:
    """Delete files of ``folder`` and below that match ``pattern``, but for the ``keep`` newest and those not
    yet ``older_than`` seconds old. What others delete or hold meanwhile is passed over.
    """
    found: list[tuple[float, Path]] = []
    for path in folder.rglob(pattern):
        with suppress(OSError):
            found.append((path.stat().st_mtime, path))
    found.sort(key=lambda pair: -pair[0])
    latest = time.time() - older_than
    for modified, path in found[keep:]:
        if modified <= latest:
            with suppress(OSError):
                path.unlink()


def remove_folder(folder: Path) -> None:
    """Delete a folder and all in it as far as that is possible."""
    shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def explained(what: str, way_out: str, error: type[PerfusionError] = PerfusionError) -> Generator[None]:
    """Turn an OSError inside into "``what`` (reason). ``way_out``"."""
    try:
        yield
    except OSError as problem:
        raise error(f"{what} ({_reason(problem)}). {way_out}") from problem


def _reason(problem: Exception) -> str:
    return (problem.strerror if isinstance(problem, OSError) else None) or str(problem)


def _write_and_sync(path: Path, data: bytes, mode: int) -> None:
    # os.open, not tempfile: an export gets the user's usual permissions, not 0600, so that it can be shared.
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | _BINARY
    with os.fdopen(os.open(path, flags, mode), "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def _sync_folder(folder: Path) -> None:
    if os.name == "nt":  # Windows has no handle on a folder to sync
        return
    try:
        handle = os.open(folder, os.O_RDONLY)
    except OSError as error:
        if error.errno in _FOLDER_SYNC_UNSUPPORTED:
            return
        raise
    try:
        os.fsync(handle)
    except OSError as error:
        if error.errno not in _FOLDER_SYNC_UNSUPPORTED:
            raise
    finally:
        os.close(handle)


def _explain(error: OSError, path: Path) -> str:
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return (
            f"“{path.name}” was not saved: the disk of “{path.parent}” is full. Free some space, save again."
        )
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return (
            f"“{path.name}” was not saved: “{path.parent}” may not be written to. "
            "Allow writing there or choose another folder."
        )
    if error.errno in (errno.ENOENT, errno.ENOTDIR):
        return (
            f"“{path.name}” was not saved: there is no folder “{path.parent}”. Create it, or choose another."
        )
    reason = error.strerror or str(error)
    return f"“{path.name}” was not saved in “{path.parent}”: {reason}. Choose another name or folder."
