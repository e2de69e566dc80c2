"""What Create shows before the first image: an image of a bundled concept, and what that was taught from."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from perfusion_core.errors import PerfusionError
from perfusion_core.sampling.png import ImageRecipe, read_recipe
from perfusion_core.studio.library.bundled import FOLDER
from perfusion_core.studio.teaching.example_photos import FOLDER as EXAMPLES
from perfusion_core.studio.teaching.example_photos import read_example_set

if TYPE_CHECKING:
    from perfusion_core.studio.library.library import Library
    from perfusion_core.studio.settings import Settings

# python app.py generate "a photo of a <blaze> wearing a crown on the beach" --seed 0, in a new library
IMAGE = FOLDER / "blaze.png"
TAUGHT_FROM = EXAMPLES / "fire-engine"


@dataclass(frozen=True)
class FirstExample:
    """photos: what the concept in `image` was taught from; `recipe`: what makes the image again."""

    image: Path
    recipe: ImageRecipe
    photos: tuple[Path, ...]


def first_example(library: Library, settings: Settings, image: Path = IMAGE) -> FirstExample | None:
    """The example, where Create's form as it opens makes this very image; else None.

    So not with another base or a LoRA, nor when a concept in it is not there as it came. Files are compared,
    not loaded: the page does not wait for torch.
    """
    photos = read_example_set(TAUGHT_FROM)
    try:
        recipe = read_recipe(image)
        as_they_came = all(
            library.get(used.name).file.read_bytes() == (FOLDER / f"{used.name}.safetensors").read_bytes()
            for used in recipe.concepts
        )
    except (PerfusionError, OSError):
        return None
    if photos is None or not as_they_came or settings.base != recipe.base or settings.loras:
        return None
    return FirstExample(image, recipe, photos.photos)
