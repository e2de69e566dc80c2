"""Images and exports for the browser, as copies in the one folder it may read from.

Gradio serves what lies in its upload folder and nothing else (`allowed_paths` stays empty). What is to be
shown is copied there byte for byte, so a downloaded image is the saved file with its recipe, and the data
folder itself is never served.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import uuid
from contextlib import suppress
from pathlib import Path
from urllib.parse import quote

from perfusion_core.files import make_folder

SHOWN = frozenset({".png", ".jpg", ".webp", ".svg", ".safetensors"})


class Served:
    """The folder of copies. It is emptied when the app starts."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def prepare(self) -> None:
        """Make the folder anew and tell Gradio that uploads and served files live there."""
        shutil.rmtree(self.folder, ignore_errors=True)
        make_folder(self.folder, "Choose another data folder (PERFUSION_HOME).", private=True)
        os.environ["GRADIO_TEMP_DIR"] = str(self.folder)

    def copy(self, path: Path) -> Path:
        """A servable copy of `path`, made once for each version of it.

        Raises `OSError` when it is gone, or when the disk refuses the copy.
        """
        if path.suffix.lower() not in SHOWN:
            raise ValueError(f"{path.name} is not of a kind that is shown")
        status = path.stat()
        key = f"{path}\n{status.st_mtime_ns}\n{status.st_size}"
        home = self.folder / hashlib.sha256(key.encode()).hexdigest()[:24]
        target = home / path.name
        if not target.exists():
            home.mkdir(parents=True, exist_ok=True)
            draft = home / f".{uuid.uuid4().hex}"
            try:
                shutil.copyfile(path, draft)
                os.replace(draft, target)
            finally:
                draft.unlink(missing_ok=True)
        return target

    def copies(self, paths: list[Path]) -> list[str]:
        """Copies as `gr.Gallery` takes them; what is gone or cannot be copied is left out."""
        found: list[str] = []
        for path in paths:
            with suppress(OSError):
                found.append(str(self.copy(path)))
        return found

    def url(self, path: Path) -> str:
        """Where the browser finds a copy of `path`, relative to the page; empty when there can be none."""
        try:
            return f"gradio_api/file={quote(self.copy(path).as_posix())}"
        except OSError:
            return ""
