"""Making images from what is in the library, and keeping them: single ones, fronts and grids."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from perfusion_core.errors import PerfusionError, PromptError
from perfusion_core.evaluation import (
    FrontPoint,
    hypervolume,
    image_similarity,
    knee,
    text_similarity,
)
from perfusion_core.files import write_atomic
from perfusion_core.model.text import mentions, plain_text
from perfusion_core.sampling.generator import GeneratedImage, Generation, Progress, front, generate, grid
from perfusion_core.sampling.png import png_bytes, read_recipe, save_png
from perfusion_core.sampling.repeat import differences, repeat
from perfusion_core.sampling.request import GenerationRequest
from perfusion_core.studio.bases import LoadedBase, Missing
from perfusion_core.studio.library import Library
from perfusion_core.studio.run_folder import RunFolder
from perfusion_core.studio.sheets import sheet

if TYPE_CHECKING:
    from perfusion_core.concept import Concept

# The mark fronts are measured above: (image, text) similarity. Stated wherever a hypervolume is.
REFERENCE = (0.0, 0.0)
Stop = Callable[[], bool] | None


@dataclass(frozen=True)
class Saved:
    """Images as files, each with its recipe inside."""

    paths: list[Path]
    warnings: tuple[str, ...]
    stopped: bool = False


@dataclass(frozen=True)
class SavedFront:
    """A front as files. `points` is empty without a scorer or without the concept's photos."""

    folder: Path
    paths: list[Path]
    biases: list[float]
    strip: Path
    points: list[FrontPoint]
    scorer: str | None
    knee: FrontPoint | None
    hypervolume: float | None
    warnings: tuple[str, ...]
    stopped: bool = False


@dataclass(frozen=True)
class SavedGrid:
    """A grid as files: `paths[i * len(biases[1]) + j]` has the i-th bias of the first and the j-th of the
    second.
    """

    folder: Path
    paths: list[Path]
    names: tuple[str, str]
    biases: tuple[list[float], list[float]]
    table: Path
    warnings: tuple[str, ...]
    stopped: bool = False


def concepts_for(library: Library, prompt: str) -> dict[str, Concept]:
    """The concepts a prompt names, loaded. Raises `PromptError` for one that is not in the library."""
    found: dict[str, Concept] = {}
    for mention in mentions(prompt):
        entry = library.find(mention.name)
        if entry is None:
            known = ", ".join(entry.placeholder for entry in library.entries()) or "none yet"
            raise PromptError(
                f"The prompt names <{mention.name}>, which is not in the library (there: {known}). "
                "Correct the name, or teach or import it first."
            )
        if entry.name not in found:
            found[entry.name] = entry.load()
    return found


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
    concepts = concepts_for(library, request.prompt)
    made = generate(
        loaded.base,
        concepts,
        request,
        covariance=loaded.covariance if concepts else None,
        on_step=on_step,
        should_stop=should_stop,
    )
    return _saved(made, out)


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
    saved = _saved(made, out)
    return Saved(saved.paths, (*(f"Not the same as it was: {d}." for d in differing), *saved.warnings))


def make_front(
    library: Library,
    loaded: LoadedBase,
    request: GenerationRequest,
    name: str,
    biases: Sequence[float],
    out: Path,
    *,
    on_step: Progress | None = None,
    should_stop: Stop = None,
) -> SavedFront:
    """Make one seed's front of concept `name`; score it, and keep images, strip and numbers in a folder."""
    concepts = concepts_for(library, request.prompt)
    made = front(
        loaded.base,
        concepts,
        request,
        name,
        biases,
        covariance=loaded.covariance,
        on_step=on_step,
        should_stop=should_stop,
    )
    used = list(biases)[: len(made.images)]
    warnings = list(made.warnings)
    points, scorer = _score_front(library, loaded, concepts, request.prompt, name, used, made, warnings)
    best = knee(points) if points else None
    folder = _free_folder(out, "front", request)
    paths = [
        save_png(image.image, image.recipe, folder / f"{k + 1:02d}-bias-{bias:.2f}.png")
        for k, (image, bias) in enumerate(zip(made.images, used, strict=True))
    ]
    captions = [f"bias {bias:.2f}" for bias in used]
    if points:
        captions = [f"bias {p.bias:.2f}\nphotos {p.image:.3f}\nprompt {p.text:.3f}" for p in points]
    marked = points.index(best) if best is not None else None
    strip = _save_sheet(folder / "strip.png", made.images, captions, len(used), request.prompt, marked)
    volume = hypervolume(points, REFERENCE) if points else None
    facts = {
        "prompt": request.prompt,
        "concept": name,
        "lock": request.lock,
        "seed": request.seed,
        "scorer": scorer,
        "points": [
            {"file": path.name, "bias": bias, **_scores_of(points, k)}
            for k, (path, bias) in enumerate(zip(paths, used, strict=True))
        ],
        "knee": asdict(best) if best is not None else None,
        "hypervolume": volume,
        "hypervolume_reference": {"image": REFERENCE[0], "text": REFERENCE[1]},
    }
    write_atomic(folder / "front.json", json.dumps(facts, indent=1, ensure_ascii=False).encode())
    return SavedFront(folder, paths, used, strip, points, scorer, best, volume, tuple(warnings), made.stopped)


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
        concepts_for(library, request.prompt),
        request,
        names,
        biases,
        covariance=loaded.covariance,
        on_step=on_step,
        should_stop=should_stop,
    )
    folder = _free_folder(out, "grid", request)
    pairs = [(a, b) for a in biases[0] for b in biases[1]][: len(made.images)]
    paths = [
        save_png(image.image, image.recipe, folder / f"{k + 1:02d}-{a:.2f}-{b:.2f}.png")
        for k, (image, (a, b)) in enumerate(zip(made.images, pairs, strict=True))
    ]
    captions = [f"{names[0]} {a:.2f}\n{names[1]} {b:.2f}" for a, b in pairs]
    table = _save_sheet(folder / "table.png", made.images, captions, len(biases[1]), request.prompt, None)
    return SavedGrid(
        folder, paths, names, (list(biases[0]), list(biases[1])), table, made.warnings, made.stopped
    )


def _score_front(
    library: Library,
    loaded: LoadedBase,
    concepts: Mapping[str, Concept],
    prompt: str,
    name: str,
    biases: Sequence[float],
    made: Generation,
    warnings: list[str],
) -> tuple[list[FrontPoint], str | None]:
    photos, _ = RunFolder(library.get(name).folder).squares()
    if not photos:
        warnings.append(f"<{name}> came without its photos, so its front is not scored.")
        return [], None
    scorer = loaded.scorer
    if isinstance(scorer, Missing):
        warnings.append(f"The front is not scored. {scorer.reason}")
        return [], None
    images = [image.image for image in made.images]
    if not images:
        return [], scorer.name
    text = plain_text(prompt, {concept.name: concept.superclass for concept in concepts.values()})
    likeness, alignment = image_similarity(scorer, images, photos), text_similarity(scorer, images, text)
    points = [FrontPoint(b, i, t) for b, i, t in zip(biases, likeness, alignment, strict=True)]
    return points, scorer.name


def _scores_of(points: Sequence[FrontPoint], k: int) -> dict[str, float]:
    return {"image": points[k].image, "text": points[k].text} if points else {}


def _saved(made: Generation, out: Path) -> Saved:
    paths: list[Path] = []
    for image in made.images:
        _make_folder(out)
        stem = f"{_next_number(out):05d}-seed{image.recipe.seed}-{_slug(image.recipe.prompt)}"
        paths.append(save_png(image.image, image.recipe, out / f"{stem}.png"))
    return Saved(paths, made.warnings, made.stopped)


def _save_sheet(
    path: Path,
    images: Sequence[GeneratedImage],
    captions: Sequence[str],
    columns: int,
    title: str,
    marked: int | None,
) -> Path:
    page = sheet([image.image for image in images], captions, max(1, columns), title=title, marked=marked)
    write_atomic(path, png_bytes(page))
    return path


def _free_folder(out: Path, kind: str, request: GenerationRequest) -> Path:
    folder = out / f"{_next_number(out):05d}-{kind}-seed{request.seed}-{_slug(request.prompt)}"
    return _make_folder(folder)


def _make_folder(folder: Path) -> Path:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise PerfusionError(
            f"The folder {folder} cannot be made ({error.strerror}). Choose another one with --out."
        ) from None
    return folder


def _next_number(out: Path) -> int:
    """One more than the highest number a file or folder in `out` begins with, so that nothing is replaced."""
    if not out.is_dir():
        return 1
    numbers: list[Any] = [re.match(r"(\d{5,9})-", child.name) for child in out.iterdir()]
    return 1 + max((int(found[1]) for found in numbers if found), default=0)


def _slug(prompt: str) -> str:
    """A prompt as part of a file name that every system takes."""
    words = re.sub(r"[^a-z0-9]+", "-", prompt.lower()).strip("-")
    return words[:40].rstrip("-") or "image"
