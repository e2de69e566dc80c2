"""A sweep: every concept of a manifest with every combination of some settings, and on several bases.

    manifest = "manifest.csv"
    bases = ["pocket"]            # optional; otherwise the base in use

    [grid]
    value_rate = [0.02, 0.03]
    bias = [0.6, 0.75]

As TOML, or as JSON with the same names.
"""

from __future__ import annotations

import csv
import io
import itertools
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import fmean
from typing import Any

from perfusion_core.container import shown
from perfusion_core.errors import PerfusionError, first_line
from perfusion_core.fanout.content_key import digest_of
from perfusion_core.fanout.list_file import read_text
from perfusion_core.fanout.manifest import Line
from perfusion_core.fanout.report import strength
from perfusion_core.fanout.tasks import Json
from perfusion_core.fanout.teach_all import Item
from perfusion_core.files import write_atomic
from perfusion_core.recipe_rules import Setting

MOST_COMBINATIONS = 10_000
COLUMNS = ("image", "text", "both", "front_hypervolume", "seconds")


@dataclass(frozen=True)
class Combination:
    """One point of the grid: a base (empty: the one in use) and settings in place of the manifest's."""

    base: str
    settings: Mapping[str, Setting]

    @property
    def id(self) -> str:
        """Short and the same in every sweep, so that a grid can grow and what is done still counts."""
        return digest_of({"base": self.base, "settings": dict(self.settings)})[:8]

    def item(self, line: Line) -> Item:
        """A concept of the manifest taught in this way."""
        settings = {**line.settings, **self.settings}
        return Item(f"{line.name}--{self.id}", replace(line, settings=settings))


@dataclass(frozen=True)
class Sweep:
    """What to sweep over."""

    manifest: Path
    combinations: list[Combination]


def read_sweep(path: Path) -> Sweep:
    """Raises `PerfusionError` naming what cannot be used."""
    from perfusion_core.training.recipe import check_settings

    found = _parsed(path)
    unknown = next((name for name in found if name not in ("manifest", "bases", "grid")), None)
    if unknown is not None:
        raise PerfusionError(f"{path} has {shown(unknown)}; what is known is manifest, bases and grid.")
    manifest, bases, grid = found.get("manifest"), found.get("bases", [""]), found.get("grid", {})
    if not isinstance(manifest, str) or not manifest:
        raise PerfusionError(f'{path} does not name its manifest. Write: manifest = "manifest.csv"')
    if not isinstance(bases, list) or not bases or not all(isinstance(base, str) for base in bases):
        raise PerfusionError(f'bases in {path} is no list of names. Write: bases = ["pocket"]')
    if not isinstance(grid, dict):
        raise PerfusionError(f"grid in {path} is not a table. Write [grid], and below it value_rate = [0.02]")
    for name, values in grid.items():
        if not isinstance(values, list) or not values:
            raise PerfusionError(f"grid: {name} is no list of values. Write: {name[:40]} = [0.02, 0.03]")
    combinations: list[Combination] = []
    for base, values in itertools.product(bases, itertools.product(*grid.values())):
        settings = dict(zip(grid, values, strict=True))
        check_settings(settings)
        combinations.append(Combination(base, settings))
        if len(combinations) > MOST_COMBINATIONS:
            raise PerfusionError(f"{path} has more than {MOST_COMBINATIONS} combinations. Sweep over fewer.")
    return Sweep(path.parent / manifest, combinations)


@dataclass(frozen=True)
class Row:
    """One row of a table: a concept (empty: the mean of all) in one way, and what it came to."""

    concept: str
    combination: Combination
    numbers: Mapping[str, float]


def rows_of(sweep: Sweep, lines: Sequence[Line], facts: Mapping[str, Json]) -> list[Row]:
    """A row for each concept and combination that is done."""
    rows: list[Row] = []
    for combination, line in itertools.product(sweep.combinations, lines):
        found = facts.get(combination.item(line).label)
        if found is None:
            continue
        scores, both = found.get("scores") or {}, strength(found)
        numbers = {name: float(scores[name]) for name in COLUMNS if name in scores}
        if both is not None:
            numbers["both"] = both
        rows.append(Row(line.name, combination, {**numbers, "seconds": float(found.get("seconds", 0.0))}))
    return rows


def means_of(rows: Sequence[Row]) -> list[Row]:
    """The mean of each combination over its concepts, the best by both scores first."""
    means: list[Row] = []
    by_combination: dict[str, list[Row]] = {}
    for row in rows:
        by_combination.setdefault(row.combination.id, []).append(row)
    for same in by_combination.values():
        known = [name for name in COLUMNS if all(name in row.numbers for row in same)]
        numbers = {name: fmean(row.numbers[name] for row in same) for name in known}
        means.append(Row("", same[0].combination, {**numbers, "concepts": float(len(same))}))
    return sorted(means, key=lambda row: -row.numbers.get("both", 0.0))


def write_table(path: Path, rows: Sequence[Row]) -> Path:
    """Rows as CSV. Raises `PerfusionError`."""
    names = list(dict.fromkeys(name for row in rows for name in row.combination.settings))
    means = any("concepts" in row.numbers for row in rows)
    columns = ["concepts" if means else "concept", "base", *names, *COLUMNS]
    text = io.StringIO(newline="")
    writer = csv.writer(text)
    writer.writerow(columns)
    for row in rows:
        first = f"{row.numbers['concepts']:.0f}" if means else row.concept
        numbers = [f"{row.numbers[name]:.6g}" if name in row.numbers else "" for name in COLUMNS]
        settings = [_cell(row.combination.settings.get(name, "")) for name in names]
        writer.writerow([first, _cell(row.combination.base), *settings, *numbers])
    write_atomic(path, text.getvalue().encode())
    return path


def _cell(value: Any) -> Any:
    """A text that a spreadsheet would take for a formula gets a mark before it."""
    return f"'{value}" if isinstance(value, str) and value[:1] in ("=", "+", "-", "@") else value


def _parsed(path: Path) -> Json:
    text = read_text(path, "sweep")
    try:
        found: Any = json.loads(text) if path.suffix.lower() == ".json" else _toml(text)
    except (ValueError, RecursionError) as error:  # a decoding error of either kind is one
        raise PerfusionError(f"{path} cannot be understood ({first_line(error)}). Correct it.") from None
    if not isinstance(found, dict):
        raise PerfusionError(f"{path} is not a table of names and values. Write it as {{…}}.")
    return found


def _toml(text: str) -> Any:
    try:
        import tomllib
    except ImportError:  # Python 3.10
        try:
            import tomlkit  # comes with gradio
        except ImportError:
            raise PerfusionError("Python 3.10 reads no TOML. Write the sweep as JSON instead.") from None
        return tomlkit.parse(text).unwrap()
    return tomllib.loads(text)
