"""What is taught: a concept's photos, those it is learned from and those it is judged by."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, replace
from pathlib import Path

from PIL import Image

from benchmarks.rivals.dreambench import ANIMALS, dreambench_prompts, is_dreambench, read_kinds
from benchmarks.rivals.prompts import PROMPTS, Prompt
from perfusion_core.errors import PerfusionError
from perfusion_core.training.photos import Photo, load_photos

# DreamBooth's and Custom Diffusion's own first, then others that no caption holds.
IDENTIFIERS = (
    "sks", "ktn", "pll", "ucd", "zwx", "olis", "ohwx", "mnj",
    "xjy", "qvk", "wfz", "bnha", "vrk", "gjx", "dqz", "hpw",
)  # fmt: skip


@dataclass(frozen=True)
class Subject:
    """photos are learned from, held_out judged by. identifier: its rare word, for methods that use one.

    source: (package, sprite) where the photos were drawn from, which a classifier may know; else None.
    """

    name: str
    superclass: str
    photos: tuple[Photo, ...]
    held_out: tuple[Image.Image, ...]
    identifier: str
    prompts: tuple[Prompt, ...] = PROMPTS
    source: tuple[str, str] | None = None

    @property
    def sha(self) -> str:
        """Names all that a method is given of it."""
        digest = hashlib.sha256(f"{self.name} {self.superclass} {self.identifier}\n".encode())
        digest.update("".join(photo.sha for photo in self.photos).encode())
        return digest.hexdigest()[:16]

    def with_one_photo(self) -> Subject:
        """The same subject, to be learned from its first photo alone."""
        return replace(self, photos=self.photos[:1])


def read_subjects(folder: Path, held_out: int = 2) -> list[Subject]:
    """The concepts of a folder, by name: our examples (about.json in each) or DreamBench's layout.

    The last `held_out` photos of each are kept for judging. Raises PerfusionError where there are too few.
    """
    if not folder.is_dir():
        raise PerfusionError(f"There is no folder {folder}. Give one with a folder of photos a concept.")
    if is_dreambench(folder):
        kinds = read_kinds(folder)
        told = {name: (kind, kind in ANIMALS) for name, kind in kinds.items()}
        return [
            _subject(folder / name, name, kind, held_out, k, dreambench_prompts(alive))
            for k, (name, (kind, alive)) in enumerate(told.items())
        ]
    places = sorted(path.parent for path in folder.glob("*/about.json"))
    if not places:
        raise PerfusionError(f"{folder} holds no concepts. Give a folder of folders of photos.")
    subjects = []
    for k, place in enumerate(places):
        about = json.loads((place / "about.json").read_text(encoding="utf-8"))
        found = _subject(place, about["name"], about["superclass"], held_out, k, PROMPTS)
        drawn = about.get("source", {})
        if "sprite" in drawn:
            found = replace(found, source=(drawn["package"], drawn["sprite"]))
        subjects.append(found)
    return subjects


def _subject(
    place: Path, name: str, superclass: str, held_out: int, number: int, prompts: tuple[Prompt, ...]
) -> Subject:
    photos = load_photos(place)
    if len(photos) <= held_out:
        raise PerfusionError(
            f"{place.name} has {len(photos)} photos; {held_out} are held out for judging. "
            "Add some, or choose a smaller --held-out."
        )
    kept = len(photos) - held_out
    judged = tuple(photo.image for photo in photos[kept:])
    identifier = IDENTIFIERS[number % len(IDENTIFIERS)]
    plain = name.replace("_", "-").replace(" ", "-")
    return Subject(plain, superclass, tuple(photos[:kept]), judged, identifier, prompts)
