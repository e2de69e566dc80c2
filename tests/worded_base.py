"""The words of a small base, and a copy of a base folder that lists them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from perfusion_core.model.known_words import FILE_NAME, KnownWords
from tools.pocket.things import COLOURS, COMMON, HATS, PLACES, STYLES, kinds


def pocket_fields() -> dict[str, Any]:
    """What the words.json of a base that knows the plainest things would hold."""
    alive = [kind.name for kind in kinds() if kind.alive and kind.name in COMMON]
    return {
        "version": 1,
        "kinds": {
            "animals": sorted(alive),
            "things": [*(name for name in COMMON if name not in alive), "potted plant"],
        },
        "generic": ["thing"],
        "colours": list(COLOURS),
        "wearing": [f"wearing a {hat}" for hat in HATS],
        "places": [phrase.format(colour="white") for phrase in PLACES.values()],
        "styles": list(STYLES.values()),
        "openings": ["a picture of"],
        "joints": ["next to", "and"],
        "instead": {"mug": "cup", "teddy bear": "bear"},
    }


def pocket_words() -> KnownWords:
    return KnownWords.model_validate(pocket_fields())


def worded(base: Path, folder: Path) -> Path:
    """A base folder with the files of `base`, which are linked, and a words.json."""
    folder.mkdir(parents=True)
    for file in base.rglob("*"):
        if file.is_file():
            copy = folder / file.relative_to(base)
            copy.parent.mkdir(parents=True, exist_ok=True)
            copy.symlink_to(file.resolve())
    (folder / FILE_NAME).unlink(missing_ok=True)
    (folder / FILE_NAME).write_text(json.dumps(pocket_fields()), "utf-8")
    return folder
