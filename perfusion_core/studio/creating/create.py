"""Making images from what is in the library, and keeping them: single ones and grids."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from perfusion_core.errors import PerfusionError
from perfusion_core.prompt_grammar import look_up
from perfusion_core.sampling.generator import Generation, Progress, generate, grid
from perfusion_core.sampling.png import read_recipe, save_png
from perfusion_core.sampling.repeat import differences, repeat
from perfusion_core.sampling.request import GenerationRequest
from perfusion_core.studio.bases import LoadedBase
from perfusion_core.studio.creating.output_folder import (
    free_folder,
    make_out,
    next_number,
    save_sheet,
    slug,
)
from perfusion_core.studio.library.library import Library

if TYPE_CHECKING:
    from perfusion_core.concept import Concept

Stop = Callable[[], bool] | None


@dataclass(frozen=True)
class Saved:
    """Images as files, each with its recipe inside."""

    paths: list[Path]
    warnings: tuple[str, ...]
    stopped: bool = False


@dataclass(frozen=True)
class SavedGrid:
    """A grid as files: `paths[i * len(biases[1]) + j]` has biases `biases[0][i]` and `biases[1][j]`."""

    folder: Path
    paths: list[Path]
    names: tuple[str, str]
    biases: tuple[list[float], list[float]]
    table: Path
    warnings: tuple[str, ...]
    stopped: bool = False


def concepts_for(library: Library, *prompts: str) -> dict[str, Concept]:
    """The concepts that prompts name, loaded and in the order of naming.

    Raises `PromptError` for one that is not in the library.
    """
    found = look_up(prompts, library.find, lambda: [entry.name for entry in library.entries()])
    return {entry.name: entry.load() for entry in found.values()}


def make_images(
    library: Library,
    loaded: LoadedBase,
    request: GenerationRequest,
    out: Path,
    *,
    on_step: Progress | None = None,
    should_stop: Stop = None,
) -> Saved:
    """Make a request's images and keep them in `out` under names that were free."""
    concepts = concepts_for(library, request.prompt, request.negative_prompt)
    made = generate(
        loaded.base,
        concepts,
        request,
        covariance=loaded.covariance if concepts else None,
        on_step=on_step,
        should_stop=should_stop,
    )
    return _saved(made, out, library.home)


def repeat_image(
    library: Library,
    loaded: LoadedBase,
    source: Path,
    out: Path,
    *,
    anyway: bool = False,
    on_step: Progress | None = None,
    should_stop: Stop = None,
) -> Saved:
    """Make the image `source` again from its own recipe.

    Raises `PerfusionError` naming what differs here, unless `anyway`: then that is a warning.
    """
    recipe = read_recipe(source)
    concepts: dict[str, Concept] = {}
    for used in recipe.concepts:
        entry = library.find(used.name)
        if entry is not None:
            concepts[entry.name] = entry.load()
    differing = differences(recipe, loaded.base, concepts)
    if differing and not anyway:
        raise PerfusionError(
            f"{source.name} cannot be repeated exactly here: {'; '.join(differing)}. "
            "Bring back what is missing, or make a similar one with --anyway."
        )
    made = repeat(
        loaded.base,
        concepts,
        recipe,
        covariance=loaded.covariance if concepts else None,
        on_step=on_step,
        should_stop=should_stop,
    )
    saved = _saved(made, out, library.home)
    return Saved(saved.paths, (*(f"Not the same as it was: {d}." for d in differing), *saved.warnings))


def make_grid(
    library: Library,
    loaded: LoadedBase,
    request: GenerationRequest,
    names: tuple[str, str],
    biases: tuple[Sequence[float], Sequence[float]],
    out: Path,
    *,
    on_step: Progress | None = None,
    should_stop: Stop = None,
) -> SavedGrid:
    """Make one seed's images for every pair of two concepts' biases, and keep them with a table."""
    made = grid(
        loaded.base,
        concepts_for(library, request.prompt, request.negative_prompt),
        request,
        names,
        biases,
        covariance=loaded.covariance,
        on_step=on_step,
        should_stop=should_stop,
    )
    folder = free_folder(out, "grid", request, library.home)
    pairs = [(a, b) for a in biases[0] for b in biases[1]][: len(made.images)]
    paths = [
        save_png(image.image, image.recipe, folder / f"{k + 1:02d}-{a:.2f}-{b:.2f}.png")
        for k, (image, (a, b)) in enumerate(zip(made.images, pairs, strict=True))
    ]
    captions = [f"{names[0]} {a:.2f}\n{names[1]} {b:.2f}" for a, b in pairs]
    images = [image.image for image in made.images]
    table = save_sheet(folder / "table.png", images, captions, len(biases[1]), request.prompt)
    return SavedGrid(
        folder, paths, names, (list(biases[0]), list(biases[1])), table, made.warnings, made.stopped
    )


def _saved(made: Generation, out: Path, home: Path) -> Saved:
    paths: list[Path] = []
    for image in made.images:
        make_out(out, home)
        stem = f"{next_number(out):05d}-seed{image.recipe.seed}-{slug(image.recipe.prompt)}"
        paths.append(save_png(image.image, image.recipe, out / f"{stem}.png"))
    return Saved(paths, made.warnings, made.stopped)
