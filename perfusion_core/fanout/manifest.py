"""The manifest: which concepts to teach, one a line, as CSV or JSON lines; checked whole before any starts.

    name,superclass,photos,steps
    biscuit,dog,photos/biscuit,
    mug,cup,photos/mug/*.jpg,60

`photos` is a folder, a file or a glob pattern, relative to the manifest, or several with | between them (in
JSON lines a list). `mask` ("auto", "none") and `pace` ("balanced", "quick") are optional, and so is every
setting of the recipe, as a column of its name; an empty cell leaves the preset's value.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from glob import glob
from pathlib import Path
from typing import Any, cast

from perfusion_core.concept_name import looks, validate_name
from perfusion_core.container import shown
from perfusion_core.errors import PerfusionError, first_line
from perfusion_core.fanout.list_file import Problem, read_lines, setting_of
from perfusion_core.recipe_rules import Setting

REQUIRED = ("name", "superclass", "photos")
CHOICES = {"mask": ("auto", "none"), "pace": ("balanced", "quick")}


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
class Manifest:
    """All sound lines and all problems; nothing is taught while there is one."""

    path: Path
    lines: list[Line]
    problems: list[Problem]


def read_manifest(path: Path) -> Manifest:
    """Read a manifest and check it with all its photos. Raises `PerfusionError` when it cannot be read."""
    seen: dict[str, Line] = {}

    def line_of(number: int, fields: Mapping[str, Any]) -> Line:
        line = _line(number, fields, path.parent)
        first = seen.setdefault(looks(line.name), line)
        if first is not line:
            raise PerfusionError(
                f"the name {shown(line.name)} is taken by line {first.number} ({shown(first.name)}) or "
                "looks like it. Choose another."
            )
        return line

    return Manifest(path, *read_lines(path, "manifest", f"each concept: {', '.join(REQUIRED)}", line_of))


def _line(number: int, fields: Mapping[str, Any], folder: Path) -> Line:
    from perfusion_core.training.photos import read_photo_files
    from perfusion_core.training.recipe import check_settings

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
