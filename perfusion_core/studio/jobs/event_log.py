"""Reading the events of jobs: what was read before is not read again."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, cast

FILES = 16  # whose events are kept in memory

Json = dict[str, Any]


class EventLog:
    """Reads files of one JSON object a line that others append to."""

    def __init__(self) -> None:
        self._read: dict[Path, tuple[int, list[Json]]] = {}  # bytes taken in, events in them

    def read(self, path: Path) -> list[Json]:
        """All events of a file, oldest first; none where it is missing. Broken lines are skipped."""
        taken, events = self._read.pop(path, (0, []))
        try:
            with path.open("rb") as file:
                if file.seek(0, 2) < taken:  # another file than before
                    taken, events = 0, []
                file.seek(taken)
                new = file.read()
        except OSError:
            return []
        whole = new.rfind(b"\n") + 1
        events += _parsed(new[:whole])
        self._read[path] = (taken + whole, events)  # the latest read is the last in the dictionary
        while len(self._read) > FILES:
            del self._read[next(iter(self._read))]
        return [*events, *_parsed(new[whole:])]


def _parsed(content: bytes) -> list[Json]:
    found: list[Json] = []
    for line in content.splitlines():
        try:
            event: Any = json.loads(line)
        except ValueError:
            continue
        if isinstance(event, dict):
            found.append(cast("Json", event))
    return found
