"""Where the pocket stages keep their sprites, caches, checkpoints and logs (never the repository)."""

from __future__ import annotations

import os
from pathlib import Path

from platformdirs import user_cache_dir


def work_dir(chosen: str | os.PathLike[str] | None = None) -> Path:
    """Return the work folder: `chosen`, else $POCKET_WORK, else the user's cache folder. It is created."""
    folder = Path(chosen or os.environ.get("POCKET_WORK") or user_cache_dir("perfusion-pocket"))
    folder.mkdir(parents=True, exist_ok=True)
    return folder
