"""The manifest: which concepts to teach, one a line, as CSV or JSON lines; checked whole before any starts.

    name,superclass,photos,steps
    biscuit,dog,photos/biscuit,
    mug,cup,photos/mug/*.jpg,60

`photos` is a folder, a file or a glob pattern, relative to the manifest, or several with | between them (in
JSON lines a list). `mask` ("auto", "none") and `pace` ("balanced", "quick") are optional, and so is every
setting of the recipe, as a column of its name; an empty cell leaves the preset's value.
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from glob import glob
from pathlib import Path
from typing import Any, cast

from perfusion_core.concept_name import looks, validate_name
from perfusion_core.container import shown
from perfusion_core.errors import PerfusionError, first_line
from perfusion_core.files import open_regular
from perfusion_core.recipe_rules import Setting

REQUIRED = ("name", "superclass", "photos")
CHOICES = {"mask": ("auto", "none"), "pace": ("balanced", "quick")}
LARGEST = 64 * 2**20  # bytes
MOST_LINES = 100_000


@dataclass(frozen=True)
class Line:
    """One concept. photos: sources as `read_photo_files` takes them; digests: of their contents, in order."""

    number: int
    name: str
    superclass: str
    photos: tuple[Path, ...]
    digests: tuple[str, ...] = ()
    bytes: int = 0
    mask: str = "auto"
    pace: str = "balanced"
    settings: Mapping[str, Setting] = field(default_factory=dict[str, Setting])


@dataclass(frozen=True)
class Problem:
    """What is wrong with a line, and what to do."""

    number: int
    text: str

    def __str__(self) -> str:
        return f"line {self.number}: {self.text}"


@dataclass(frozen=True)
class Manifest:
    """All sound lines and all problems; nothing is taught while there is one."""

    path: Path
    lines: list[Line]
    problems: list[Problem]


def read_manifest(path: Path) -> Manifest:
    """Read a manifest and check it with all its photos. Raises `PerfusionError` when it cannot be read."""
    lines: list[Line] = []
    problems: list[Problem] = []
    seen: dict[str, Line] = {}
    for number, fields in read_table(path, "manifest"):
        line = _line_or_problem(number, fields, path.parent)
        if isinstance(line, Line):
            first = seen.setdefault(looks(line.name), line)
            if first is not line:
                line = Problem(
                    number,
                    f"the name {shown(line.name)} is taken by line {first.number} ({shown(first.name)}) or "
                    "looks like it. Choose another.",
                )
        if isinstance(line, Line):
            lines.append(line)
        else:
            problems.append(line)
    if not lines and not problems:
        raise PerfusionError(f"{path} lists nothing. Write a line for each concept: {', '.join(REQUIRED)}.")
    return Manifest(path, lines, problems)


def read_table(path: Path, what: str) -> Iterator[tuple[int, dict[str, Any]]]:
    """The lines of a CSV or JSON lines file by their number, each as names and values; a line that is not
    one is given with its fault under the name "". Raises `PerfusionError` for a file that is neither.
    """
    text = read_text(path, what)
    rows = _json_lines(text) if path.suffix.lower() in (".jsonl", ".ndjson") else _csv_lines(path, text)
    for count, row in enumerate(rows, start=1):
        if count > MOST_LINES:
            raise PerfusionError(f"{path} has more than {MOST_LINES} lines. Split it into several.")
        yield row


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


def _line_or_problem(number: int, fields: Mapping[str, Any], folder: Path) -> Line | Problem:
    try:
        return _line(number, fields, folder)
    except PerfusionError as error:
        return Problem(number, str(error))


def _line(number: int, fields: Mapping[str, Any], folder: Path) -> Line:
    from perfusion_core.training.photos import read_photo_files
    from perfusion_core.training.recipe import check_settings

    if "" in fields:
        raise PerfusionError(fields[""])
    for required in REQUIRED:
        if fields.get(required) in (None, "", []):
            raise PerfusionError(f"{required} is missing. Fill it in.")
    settings: dict[str, Any] = {}
    nested = fields.get("settings") or {}
    if not isinstance(nested, dict):
        raise PerfusionError('settings is not an object of names and values. Write it as {"steps": 60}.')
    for name, value in {**fields, **cast("dict[str, Any]", nested)}.items():
        if name not in (*REQUIRED, *CHOICES, "settings") and value not in (None, ""):
            settings[name] = setting_of(value)
    check_settings(settings)
    chosen = {name: _choice(name, fields.get(name)) for name in CHOICES}
    photos = tuple(_photo_paths(fields["photos"], folder))
    contents = read_photo_files(photos)
    return Line(
        number,
        validate_name(_text_field("name", fields).strip("<> ")),
        _superclass(_text_field("superclass", fields)),
        photos,
        tuple(hashlib.sha256(content).hexdigest() for _, content in contents),
        sum(len(content) for _, content in contents),
        settings=settings,
        **chosen,
    )


def _choice(name: str, value: Any) -> str:
    known = CHOICES[name]
    word = value.strip() if isinstance(value, str) else value
    if word in (None, ""):
        return known[0]
    if word not in known:
        raise PerfusionError(f"{name} is {shown(str(word))}; choose {' or '.join(known)}, or leave it out.")
    return word


def _text_field(name: str, fields: Mapping[str, Any]) -> str:
    if not isinstance(fields[name], str):
        raise PerfusionError(f"{name} is {shown(str(fields[name]))} and not text. Write it in quotes.")
    return fields[name]


def _superclass(word: str) -> str:
    from perfusion_core.studio.teaching.run import checked_superclass

    return checked_superclass(word)


def _photo_paths(value: Any, folder: Path) -> Iterator[Path]:
    parts: Iterable[Any] = value.split("|") if isinstance(value, str) else value
    if not isinstance(parts, list) or not all(isinstance(part, str) for part in parts):
        raise PerfusionError("photos is neither text nor a list of texts. Name a folder or a pattern.")
    for part in (text.strip() for text in cast("list[str]", parts)):
        if not part:
            raise PerfusionError("photos has an empty path in it. Write it as folder|other/*.jpg.")
        place = folder / part
        try:
            matches = [] if place.exists() else sorted(glob(part, root_dir=folder, recursive=True))  # noqa: PTH207 - also absolute ones
            found = [folder / match for match in matches] or ([place] if place.exists() else [])
        except (OSError, ValueError) as error:  # too long, or with a zero byte in it
            raise PerfusionError(
                f"photos: {shown(part)} cannot be a path ({first_line(error)[:80]}). Correct it."
            ) from None
        if not found:
            raise PerfusionError(
                f"photos: there is nothing at {shown(part)}, seen from {folder}. Correct the path or pattern."
            )
        yield from found


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
