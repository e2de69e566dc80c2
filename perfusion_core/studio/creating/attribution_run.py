"""Where each concept acted in an image: attribution maps laid over that image."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from perfusion_core.errors import PerfusionError
from perfusion_core.sampling.png import ImageRecipe, read_recipe, save_png

if TYPE_CHECKING:
    from PIL import Image

    from perfusion_core.sampling.generator import Progress
    from perfusion_core.studio.bases import LoadedBase
    from perfusion_core.studio.library.library import Library

COLOUR = (255, 92, 56)


def check_source(source: Path) -> ImageRecipe:
    """The recipe of an image with concepts in it. Raises `PerfusionError` for any other."""
    recipe = read_recipe(source)
    if not recipe.concepts:
        raise PerfusionError("No concept acted in this picture: its prompt names none. Write one as <name>.")
    return recipe


def save_overlays(
    library: Library, loaded: LoadedBase, source: Path, folder: Path, *, on_step: Progress | None = None
) -> dict[str, Path]:
    """One overlay a concept, as PNG files in `folder`. Raises `PerfusionError` for an unrepeatable image."""
    from PIL import Image as PILImage

    from perfusion_core.sampling.attribution import acting_maps
    from perfusion_core.sampling.repeat import differences

    recipe = check_source(source)
    concepts = {used.name: library.load(used.name) for used in recipe.concepts}
    differing = differences(recipe, loaded.base, concepts)
    if differing:
        raise PerfusionError(
            f"Where it acted cannot be shown: this picture would come out differently now "
            f"({'; '.join(differing)}). Create it again first."
        )
    maps = acting_maps(loaded.base, concepts, recipe, covariance=loaded.covariance, on_step=on_step)
    with PILImage.open(source, formats=["PNG"]) as opened:
        image = opened.convert("RGB")
    return {
        name: save_png(overlaid(image, values.numpy()), None, folder / f"acting-{number}.png")
        for number, (name, values) in enumerate(maps.items())
    }


def overlaid(image: Image.Image, values: Any) -> Image.Image:
    """The image in grey, tinted by the attribution map `values`. Shape: values (h, w) in 0..1."""
    import numpy as np
    from PIL import Image as PILImage

    small = PILImage.fromarray((np.asarray(values) * 255).clip(0, 255).astype(np.uint8))
    heat = (
        np.asarray(small.resize(image.size, PILImage.Resampling.BICUBIC), dtype=np.float32)[..., None] / 255
    )
    grey = np.asarray(image.convert("L").convert("RGB"), dtype=np.float32) * 0.75
    colours = np.asarray(image.convert("RGB"), dtype=np.float32)
    glow = 0.45 * colours + 0.55 * np.array(COLOUR, dtype=np.float32)
    return PILImage.fromarray(((1 - heat) * grey + heat * glow).clip(0, 255).astype(np.uint8))
