"""The only way anything is written: whole, or not at all. And how a file from anyone is opened."""

from __future__ import annotations

import errno
import os
import secrets
import stat
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

from perfusion_core.errors import PerfusionError

_LEFTOVER_PREFIX, _LEFTOVER_SUFFIX = ".perfusion-", ".tmp"
# A folder that cannot be fsynced (some network drives) is no reason to call a finished save failed.
_FOLDER_SYNC_UNSUPPORTED = {errno.EINVAL, errno.ENOTSUP, errno.EBADF, errno.EACCES, errno.EISDIR}


def write_atomic(path: str | os.PathLike[str], data: bytes) -> None:
    """Put ``data`` at ``path`` so that a reader, or a crash at any moment, sees the old file or the new one.

    When it returns, the data is on the disk and under its name. Raises PerfusionError (full disk, read-only
    or missing folder, ...); then whatever was at ``path`` before is still there.
    """
    path = Path(path)
    temporary = path.parent / f"{_LEFTOVER_PREFIX}{secrets.token_hex(8)}{_LEFTOVER_SUFFIX}"
    try:
        _write_and_sync(temporary, data)
        os.replace(temporary, path)
        _sync_folder(path.parent)
    except OSError as error:
        raise PerfusionError(_explain(error, path)) from error
    finally:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)


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


def _require_regular(status: os.stat_result) -> None:
    if not stat.S_ISREG(status.st_mode):
        raise OSError(errno.EINVAL, "it is not a plain file")


def _write_and_sync(path: Path, data: bytes) -> None:
    # os.open, not tempfile: the file gets the user's usual permissions, not 0600, so an export can be shared.
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)
    with os.fdopen(os.open(path, flags, 0o666), "wb") as file:
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
