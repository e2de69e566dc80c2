"""Lists that people write, a thing a line, as CSV or JSON lines: all sound lines, and what is wrong with the
others.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar, cast

from perfusion_core.container import shown
from perfusion_core.errors import PerfusionError, first_line
from perfusion_core.files import open_regular

T = TypeVar("T")

LARGEST = 64 * 2**20  # bytes
MOST_LINES = 100_000


@dataclass(frozen=True)
class Problem:
    """What is wrong with a line, and what to do."""

    number: int
    text: str

    def __str__(self) -> str:
        return f"line {self.number}: {self.text}"


def read_lines(
    path: Path, what: str, each: str, line_of: Callable[[int, Mapping[str, Any]], T]
) -> tuple[list[T], list[Problem]]:
    """What `line_of` makes of each line's number and of its values by name, and a problem for each line of
    which it raises `PerfusionError`. `what` and `each` say what the list is and what is listed.

    Raises `PerfusionError` when the file cannot be read or lists nothing.
    """
    lines: list[T] = []
    problems: list[Problem] = []
    for number, fields in _table(path, what):
        try:
            if "" in fields:
                raise PerfusionError(fields[""])
            lines.append(line_of(number, fields))
        except PerfusionError as error:  # noqa: PERF203 - each line has its own
            problems.append(Problem(number, str(error)))
    if not lines and not problems:
        raise PerfusionError(f"{path} lists nothing. Write a line for {each}.")
    return lines, problems


def setting_of(text: Any) -> Any:
    """A cell's text as a number or a switch where it is one."""
    if not isinstance(text, str):
        return text
    word = text.strip()
    try:
        value: Any = json.loads(word.lower())
    except (ValueError, RecursionError):
        return word
    return value if isinstance(value, (int, float, bool)) else word


def read_text(path: Path, what: str) -> str:
    """A whole file of UTF-8 text, of at most LARGEST bytes. Raises `PerfusionError`."""
    try:
        with open_regular(path) as file:
            content = file.read(LARGEST + 1)
        if len(content) > LARGEST:
            raise PerfusionError(f"{path} is larger than {LARGEST // 2**20} MB. Split it into several.")
        return content.decode("utf-8-sig")  # spreadsheets put a mark before it
    except UnicodeDecodeError as error:
        raise PerfusionError(
            f"{path} is not UTF-8 text (at byte {error.start}). Save it as “CSV UTF-8”."
        ) from None
    except (OSError, ValueError) as error:
        raise PerfusionError(
            f"The {what} {path} cannot be read ({first_line(error)}). Check the path."
        ) from None


def _json_lines(text: str) -> Iterator[tuple[int, dict[str, Any]]]:
    for number, line in enumerate(text.split("\n"), start=1):
        if not line.strip():
            continue
        try:
            value: Any = json.loads(line)
        except (ValueError, RecursionError) as error:
            yield number, {"": f"it is not JSON ({first_line(error)[:80]}). Write one object on each line."}
            continue
        if isinstance(value, dict):
            yield number, {str(k).strip(): v for k, v in cast("dict[Any, Any]", value).items()}
        else:
            yield number, {"": 'it is JSON, but not an object. Write {"name": …} on each line.'}


def _csv_lines(path: Path, text: str) -> Iterator[tuple[int, dict[str, Any]]]:
    first = text.split("\n", 1)[0]
    comma = ";" if ";" in first and "," not in first else ","  # as some spreadsheets have it
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=comma, strict=True)
    names: list[str] | None = None
    try:
        for cells in reader:
            if not any(cell.strip() for cell in cells):
                continue
            if names is None:
                names = _column_names(path, cells)
            elif len(cells) > len(names):
                yield (
                    reader.line_num,
                    {"": f"it has {len(cells)} cells for {len(names)} columns. Quote texts with commas."},
                )
            else:
                yield reader.line_num, dict(zip(names, cells, strict=False))
    except csv.Error as error:
        yield reader.line_num, {"": f"it is not CSV ({error}); what follows was not read. Check the quotes."}


def _column_names(path: Path, cells: list[str]) -> list[str]:
    names = [cell.strip() for cell in cells]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise PerfusionError(f"{path} has two columns called {shown(twice)}. Rename or delete one.")
    return names


def _table(path: Path, what: str) -> Iterator[tuple[int, dict[str, Any]]]:
    """The lines of a CSV or JSON lines file by their number, each as names and values; a line that is not
    one is given with its fault under the name "". Raises `PerfusionError` for a file that is neither.
    """
    text = read_text(path, what)
    rows = _json_lines(text) if path.suffix.lower() in (".jsonl", ".ndjson") else _csv_lines(path, text)
    for count, row in enumerate(rows, start=1):
        if count > MOST_LINES:
            raise PerfusionError(f"{path} has more than {MOST_LINES} lines. Split it into several.")
        yield row
