"""The live table of a run over many tasks; where there is no terminal, a line for each task that ends."""

from __future__ import annotations

import sys
import time
from typing import Any

from tqdm import tqdm

from perfusion_core.cli.bars import note
from perfusion_core.printable import printable

MOST_ROWS = 12  # tasks shown, one a row; with more of them those heard of last
Json = dict[str, Any]


class FanoutTable:
    """Done, running with step and loss, failed, rate and time left, from a driver's events."""

    def __init__(self, what: str) -> None:
        self._what = what
        self._total = self._skipped = self._done = self._failed = 0
        self._begun = time.monotonic()
        self._rows: dict[str, str] = {}  # by label
        self._workers: dict[str, int] = {}  # of the rows
        self._bar: tqdm[Any] | None = None
        self._lines: list[tqdm[Any]] = []

    def __enter__(self) -> FanoutTable:
        return self

    def __exit__(self, *_: object) -> None:
        for bar in (*self._lines, *([self._bar] if self._bar is not None else [])):
            bar.close()

    def listen(self, event: Json) -> None:
        kind, worker, label = event["event"], event.get("worker", -1), event.get("label", "")
        if kind == "begun":
            self._total, self._skipped = event["total"], event["done"]
            self._begun = time.monotonic()
            if self._skipped:
                note(f"{self._skipped} of {self._total} are done already.")
        elif kind == "started":
            self._workers[label] = worker
            self._rows[label] = f"{label}  begins" + (" from its checkpoint" if event["resumed"] else "")
        elif kind == "progress":
            self._rows.pop(label, None)  # so that those heard of last come last
            self._rows[label] = f"{label}  {_progress(event)}"
        elif kind in ("done", "failed"):
            self._done += kind == "done"
            self._failed += kind == "failed"
            self._rows.pop(label, None)
            if kind == "failed":
                note(f"failed: {label}: {event['reason']}")
            elif not _is_terminal():
                note(f"done: {label} ({self.summary()})")
        elif kind in ("worker died", "worker refused", "worker doubted"):
            self._rows = {one: row for one, row in self._rows.items() if self._workers.get(one) != worker}
            if kind != "worker doubted":
                note(f"note: worker {worker} {kind.removeprefix('worker ')} ({event['reason']}).")
        elif kind == "again":
            note(f"note: {label} could not go on from its checkpoint and starts again ({event['reason']}).")
        elif kind == "alone":
            note(f"note: {label} is tried again without others in its batch ({event['reason']}).")
        self._draw()

    def summary(self) -> str:
        """Numbers of this run, as its first row has them."""
        ended = self._done + self._failed
        left = self._total - self._skipped - ended
        parts = [f"{self._skipped + self._done} of {self._total} done", f"{len(self._rows)} running"]
        if self._failed:
            parts.append(f"{self._failed} failed")
        passed = time.monotonic() - self._begun
        if ended and passed > 0:
            parts.append(f"{3600 * ended / passed:.0f} an hour")
            if left:
                parts.append(f"{clock(left * passed / ended)} left")
        return ", ".join(parts)

    def _draw(self) -> None:
        if not _is_terminal() or not self._total:
            return
        if self._bar is None:
            form = "{desc}: {percentage:3.0f}%|{bar}| {postfix}"
            self._bar = tqdm(
                total=self._total, desc=self._what, file=sys.stderr, dynamic_ncols=True, bar_format=form
            )
        shown = [printable(row) for row in self._rows.values()][-MOST_ROWS:]
        while len(self._lines) < len(shown):
            place = len(self._lines) + 1
            self._lines.append(
                tqdm(position=place, bar_format="{desc}", file=sys.stderr, leave=False, dynamic_ncols=True)
            )
        for number, line in enumerate(self._lines):
            line.set_description_str(f"  {shown[number]}" if number < len(shown) else "")
        self._bar.n = self._skipped + self._done + self._failed
        self._bar.set_postfix_str(self.summary())


def clock(seconds: float) -> str:
    """Hours, minutes and seconds."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"


def _progress(event: Json) -> str:
    if "step" not in event:
        return str(event.get("stage", ""))
    loss = event.get("loss")
    words = f"step {event['step']}/{event['total']}" + ("" if loss is None else f"  loss {loss:.4f}")
    return words + ("" if event.get("eta") is None else f"  {clock(event['eta'])} left")


def _is_terminal() -> bool:
    return sys.stderr.isatty()
