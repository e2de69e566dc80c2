"""The machine-readable log of a run: one JSON object a line, appended over all starts."""

from __future__ import annotations

import time

from perfusion_core.fanout.results_folder import ResultsFolder
from perfusion_core.fanout.tasks import Json

PROGRESS_EVERY = 10.0  # seconds between lines of progress of one task


class RunLog:
    """Writes a driver's events into the results folder's log.jsonl, each with the time in seconds since the
    epoch. Steps are thinned out; everything else is written.
    """

    def __init__(self, results: ResultsFolder) -> None:
        self._results = results
        self._told: dict[str, float] = {}

    def write(self, event: Json) -> None:
        if event["event"] == "progress":
            label, now = event["label"], time.monotonic()
            if now - self._told.get(label, -PROGRESS_EVERY) < PROGRESS_EVERY:
                return
            self._told[label] = now
        self._results.log({"time": time.time(), **event})
