"""The folder that results are kept in, and from which a driver that was stopped or killed goes on.

    <out>/concepts/<label>.safetensors   what was taught: ready to be imported into a library
    <out>/images/...                     what the report shows, or what was generated
    <out>/done/<label>.json              written last: key, files with their digests, facts
    <out>/unfinished/<label>/...         the last checkpoint of a task that is not done, and its key
    <out>/log.jsonl                      everything that happened, a line each

A label is made of letters, digits, - and _, so that it can be a file's name.
"""

from __future__ import annotations

import hashlib
import json
from contextlib import suppress
from pathlib import Path, PurePosixPath
from typing import Any

from perfusion_core.errors import PerfusionError
from perfusion_core.fanout.tasks import Files, Json, Result
from perfusion_core.files import append_line, explained, make_folder, remove_folder, write_atomic

WAY_OUT = "Choose another folder with --out."
KEY_FILE = "key"
PLACES = ("concepts", "images")


class ResultsFolder:
    """Results by label. A result counts only with the key that it was made with."""

    def __init__(self, out: Path) -> None:
        self.out = out

    def prepare(self) -> None:
        """Make the folder. Raises `PerfusionError`."""
        make_folder(self.out, WAY_OUT)

    def done(self, label: str, key: str) -> Json | None:
        """The facts of a result that was made with `key` and whose files are whole, else None."""
        record = self._record(label)
        if record is None or record.get("key") != key:
            return None
        facts, files = record.get("facts"), record.get("files")
        if not isinstance(facts, dict) or not isinstance(files, dict):
            return None
        whole = all(_digest_of(self.out / path) == digest for path, digest in files.items())
        return facts if whole else None

    def finish(self, label: str, key: str, result: Result) -> None:
        """Keep a result; from its record on it is done. Raises `PerfusionError` for a file out of place."""
        for path, content in result.files.items():
            target = self.out / checked_place(path)
            make_folder(target.parent, WAY_OUT)
            write_atomic(target, content)
        digests = {path: hashlib.sha256(content).hexdigest() for path, content in result.files.items()}
        record = {"key": key, "files": digests, "facts": result.facts}
        make_folder(self.out / "done", WAY_OUT)
        write_atomic(self.out / "done" / f"{label}.json", json.dumps(record, ensure_ascii=False).encode())
        self.forget(label)

    def keep(self, label: str, key: str, files: Files) -> None:
        """Put a checkpoint's files beside, or in the place of, those that were kept before."""
        folder = self.out / "unfinished" / label
        if self._key_of(folder) != key:
            remove_folder(folder)
        make_folder(folder, WAY_OUT, private=True)
        write_atomic(folder / KEY_FILE, key.encode(), private=True)
        for path, content in files.items():
            target = folder / checked_place(path, places=None)
            make_folder(target.parent, WAY_OUT, private=True)
            write_atomic(target, content, private=True)

    def kept(self, label: str, key: str) -> Files:
        """The files of the last checkpoint; none when there is none, or one of another key."""
        folder = self.out / "unfinished" / label
        if self._key_of(folder) != key:
            return {}
        with explained(f"The checkpoint in {folder} cannot be read", "Delete that folder to start it again."):
            return {
                path.relative_to(folder).as_posix(): path.read_bytes()
                for path in sorted(folder.rglob("*"))
                if path.is_file() and path.name != KEY_FILE and not path.name.startswith(".")
            }

    def forget(self, label: str) -> None:
        """Delete a task's checkpoint."""
        remove_folder(self.out / "unfinished" / label)

    def log(self, facts: Json) -> None:
        """Add a line to the log. A log that cannot be written costs no result."""
        with suppress(PerfusionError):
            append_line(self.out / "log.jsonl", json.dumps(facts, ensure_ascii=False).encode())

    def _record(self, label: str) -> Json | None:
        try:
            record: Any = json.loads((self.out / "done" / f"{label}.json").read_bytes())
        except (OSError, ValueError):
            return None
        return record if isinstance(record, dict) else None

    def _key_of(self, folder: Path) -> str:
        try:
            return (folder / KEY_FILE).read_text("utf-8")
        except (OSError, ValueError):
            return ""


def checked_place(path: str, places: tuple[str, ...] | None = PLACES) -> Path:
    """A path from a worker, which may be another machine: inside our folder, or refused."""
    parts = PurePosixPath(path).parts
    plain = all(part not in ("..", "") and "\\" not in part and ":" not in part for part in parts)
    if not parts or not plain or path.startswith("/") or (places is not None and parts[0] not in places):
        raise PerfusionError(
            f"A worker returned a file for {path[:80]!r}, which is no place for results. Check its version."
        )
    return Path(*parts)


def _digest_of(path: Path) -> str:
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError:
        return ""
