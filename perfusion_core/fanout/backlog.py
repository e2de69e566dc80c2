"""The tasks of a run that wait for a worker, and which of them may share a batch."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from itertools import islice

from perfusion_core.fanout.tasks import Planned


class Backlog:
    """Hands out at most `together` tasks of one form at a time."""

    def __init__(self, together: int) -> None:
        self._together = together
        self._waiting: deque[Planned] = deque()
        self._alone: set[str] = set()  # labels that share no batch any more

    def __len__(self) -> int:
        return len(self._waiting)

    def add(self, planned: Iterable[Planned]) -> None:
        """Put tasks at the end."""
        self._waiting.extend(planned)

    def put_back(self, planned: Planned, *, alone: bool = False) -> None:
        """Put a task that was taken at the front again; `alone`: from now on it shares no batch."""
        if alone:
            self._alone.add(planned.label)
        self._waiting.appendleft(planned)

    def take(self, workers: int) -> list[Planned]:
        """The first task and those that share its batch, but no more than leave something for each of
        `workers`. There has to be one.
        """
        fair = -(-len(self._waiting) // workers)
        first = self._waiting.popleft()
        if first.label in self._alone:
            return [first]
        alike = (one for one in self._waiting if one.form == first.form and one.label not in self._alone)
        others = list(islice(alike, min(self._together, fair) - 1))
        for one in others:
            self._waiting.remove(one)
        return [first, *others]
