"""Results by the content they depend on: what was computed once is not computed again, also after a kill."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any


class Cache:
    """Folders under `root`, each named by the hash of the facts that its contents follow from."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.made = 0
        self.found = 0

    def key(self, kind: str, facts: Mapping[str, Any]) -> str:
        """The name of a result. Facts are plain data; their order does not count."""
        text = json.dumps({"kind": kind, **facts}, sort_keys=True, ensure_ascii=False)
        return hashlib.sha256(text.encode()).hexdigest()[:20]

    def folder(self, kind: str, facts: Mapping[str, Any], make: Callable[[Path], None]) -> Path:
        """The folder of a result, filled by `make` when it is not there yet.

        It appears in one move, with facts.json in it, so that a run that was cut off leaves nothing behind
        that looks finished.
        """
        place = self.root / kind / self.key(kind, facts)
        if place.is_dir():
            self.found += 1
            return place
        partial = place.with_name(f"{place.name}.partial")
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir(parents=True)
        make(partial)
        text = json.dumps(facts, indent=1, sort_keys=True, ensure_ascii=False)
        (partial / "facts.json").write_text(text + "\n", encoding="utf-8")
        os.replace(partial, place)
        self.made += 1
        return place

    def data(self, kind: str, facts: Mapping[str, Any], make: Callable[[], Any]) -> Any:
        """The same for a result that is plain data."""

        def write(folder: Path) -> None:
            (folder / "data.json").write_text(json.dumps(make()), encoding="utf-8")

        return json.loads((self.folder(kind, facts, write) / "data.json").read_text(encoding="utf-8"))


def source_hash(*places: Path) -> str:
    """Names the text of Python files and of all those in folders: another version makes other results."""
    digest = hashlib.sha256()
    for place in places:
        for path in sorted(place.rglob("*.py")) if place.is_dir() else [place]:
            digest.update(path.read_bytes())
    return digest.hexdigest()[:16]
