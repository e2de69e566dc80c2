"""What Create shows before the first image: an image of a bundled concept, and what that was taught from."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from perfusion_core.errors import PerfusionError
from perfusion_core.sampling.png import ImageRecipe, read_recipe
from perfusion_core.studio.library.bundled import FOLDER
from perfusion_core.studio.teaching.example_photos import example_set

if TYPE_CHECKING:
    from perfusion_core.studio.library.library import Library
    from perfusion_core.studio.settings import Settings

# python app.py generate "a photo of a <blaze> wearing a crown on the beach" --seed 0, in a new library
IMAGE = FOLDER / "blaze.png"
TAUGHT_FROM = "fire-engine"


@dataclass(frozen=True)
class FirstExample:
    """photos: what the concept in `image` was taught from; `recipe`: what makes the image again."""

    image: Path
    recipe: ImageRecipe
    photos: tuple[Path, ...]


def first_example(library: Library, settings: Settings, image: Path = IMAGE) -> FirstExample | None:
    """The example, where Create's form as it opens makes this very image; else None.

    So not with another base or a LoRA, nor when the concept was deleted, renamed or taught again.
    """
    photos = example_set(TAUGHT_FROM)
    try:
        recipe = read_recipe(image)
        there = all(library.load(used.name).content_hash == used.content_hash for used in recipe.concepts)
    except (PerfusionError, OSError):
        return None
    if not photos or not there or settings.base != recipe.base or settings.loras:
        return None
    return FirstExample(image, recipe, photos.photos)
