"""The example sets that come with the project: photos to try teaching with."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

FOLDER = Path(__file__).parents[3] / "assets" / "examples"


@dataclass(frozen=True)
class ExampleSet:
    """A few photos of one thing."""

    name: str
    title: str
    superclass: str
    photos: tuple[Path, ...]


def example_sets(folder: Path = FOLDER) -> list[ExampleSet]:
    """Every readable set, by name."""
    sets = (read_example_set(about.parent) for about in sorted(folder.glob("*/about.json")))
    return [found for found in sets if found is not None]


def read_example_set(folder: Path) -> ExampleSet | None:
    """The set in a folder of JPEG or PNG photos with about.json; None where that is missing or damaged."""
    try:
        facts = json.loads((folder / "about.json").read_text("utf-8"))
        photos = tuple(sorted(path for path in folder.iterdir() if path.suffix in (".jpg", ".png")))
        title = facts.get("title", facts["name"])
        return ExampleSet(facts["name"], title, facts["superclass"], photos) if photos else None
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None


def example_set(name: str, folder: Path = FOLDER) -> ExampleSet | None:
    return next((found for found in example_sets(folder) if found.name == name), None)
