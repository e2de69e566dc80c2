"""Fronts: images of one concept along its gate bias, for one seed or several, scored and kept.

Where a scorer and the concept's photos are at hand, their scores trace the Pareto front of image similarity
against text similarity; a "front" without them is the row of images alone.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from perfusion_core.evaluation import FrontPoint, hypervolume, knee
from perfusion_core.files import write_atomic
from perfusion_core.prompt_grammar import plain_text
from perfusion_core.sampling.generator import GeneratedImage, Progress, front, generate
from perfusion_core.sampling.png import save_png
from perfusion_core.studio.creating.create import concepts_for
from perfusion_core.studio.creating.output_folder import free_folder, save_sheet
from perfusion_core.studio.fronts.scores import FrontJudge, Reference, judge_for, mean_points

if TYPE_CHECKING:
    from PIL import Image

    from perfusion_core.sampling.request import GenerationRequest
    from perfusion_core.studio.bases import LoadedBase
    from perfusion_core.studio.jobs.store import Json
    from perfusion_core.studio.library.library import Library

# The reference point of hypervolumes, as (image, text) similarity; stated wherever one is shown.
REFERENCE = (0.0, 0.0)


@dataclass(frozen=True)
class SavedFront:
    """A front as files: `paths[i * len(biases) + j]` has the i-th seed and the j-th bias.

    `points` are the means over the seeds, one a bias; `shots` the scores of each image, in the order of
    `paths`. Both are empty, as `references` is, without a scorer or without the concept's photos.
    """

    folder: Path
    paths: list[Path]
    biases: list[float]
    seeds: list[int]
    strip: Path
    points: list[FrontPoint]
    shots: list[FrontPoint]
    references: list[Reference]
    scorer: str | None
    warnings: tuple[str, ...]
    stopped: bool = False

    @property
    def knee(self) -> FrontPoint | None:
        return knee(self.points) if self.points else None

    @property
    def hypervolume(self) -> float | None:
        """Above `REFERENCE`."""
        return hypervolume(self.points, REFERENCE) if self.points else None

    def facts(self) -> Json:
        """As plain data, for a job's result and the folder's front.json."""
        best = self.knee
        return {
            "paths": [str(path) for path in self.paths],
            "biases": self.biases,
            "seeds": self.seeds,
            "strip": str(self.strip),
            "points": [asdict(point) for point in self.points],
            "shots": [asdict(shot) for shot in self.shots],
            "references": [reference.facts() for reference in self.references],
            "scorer": self.scorer,
            "knee": asdict(best) if best is not None else None,
            "hypervolume": self.hypervolume,
            "hypervolume_reference": {"image": REFERENCE[0], "text": REFERENCE[1]},
        }


def make_front(
    library: Library,
    loaded: LoadedBase,
    request: GenerationRequest,
    name: str,
    biases: Sequence[float],
    out: Path,
    *,
    on_step: Progress | None = None,
    should_stop: Callable[[], bool] | None = None,
) -> SavedFront:
    """Make the front of concept `name`, a row for each of `request.count` seeds; score it, with the baseline
    (the superclass without the concept) and the photos as reference points, and save all of it in a folder.
    """
    concepts = concepts_for(library, request.prompt, request.negative_prompt)
    said: list[str] = []
    judge = judge_for(library, loaded, name, said)
    columns = len(biases) + (judge is not None)  # one baseline image more for each seed
    made = front(
        loaded.base,
        concepts,
        request,
        name,
        biases,
        covariance=loaded.covariance,
        on_step=_part(on_step, 0, len(biases), columns),
        should_stop=should_stop,
    )
    text = plain_text(request.prompt, {concept.name: concept.superclass for concept in concepts.values()})
    plain: list[GeneratedImage] = []
    if judge is not None and not made.stopped:
        asked = replace(request, prompt=text, biases={})
        progress = _part(on_step, len(biases), 1, columns)
        plain = generate(loaded.base, {}, asked, on_step=progress, should_stop=should_stop).images

    images = [image.image for image in made.images]
    used = (list(biases) * request.count)[: len(images)]
    shots = judge.shots(images, used, text) if judge is not None else []
    points = mean_points(shots, biases)
    best = points.index(knee(points)) if points else None
    folder = free_folder(out, "front", request, library.home)
    saved = SavedFront(
        folder=folder,
        paths=[
            _save(image, folder, f"{k + 1:02d}-seed{image.recipe.seed}-bias-{bias:.2f}")
            for k, (image, bias) in enumerate(zip(made.images, used, strict=True))
        ],
        biases=list(biases),
        seeds=[request.seed + k for k in range(request.count)],
        strip=_save_strip(folder, request, images, used, shots, len(biases), best),
        points=points,
        shots=shots,
        references=_references(judge, plain, folder, text),
        scorer=judge.scorer.name if judge is not None else None,
        warnings=(*made.warnings, *said),
        stopped=made.stopped,
    )
    _write_facts(saved, request, name)
    return saved


def _references(
    judge: FrontJudge | None, plain: list[GeneratedImage], folder: Path, text: str
) -> list[Reference]:
    if judge is None:
        return []
    paths = [_save(image, folder, f"superclass-seed{image.recipe.seed}") for image in plain]
    return judge.references([image.image for image in plain], paths, text)


def _save(image: GeneratedImage, folder: Path, stem: str) -> Path:
    return save_png(image.image, image.recipe, folder / f"{stem}.png")


def _save_strip(
    folder: Path,
    request: GenerationRequest,
    images: Sequence[Image.Image],
    biases: Sequence[float],
    shots: Sequence[FrontPoint],
    columns: int,
    best: int | None,
) -> Path:
    captions = [f"bias {bias:.2f}" for bias in biases]
    if shots:
        captions = [f"bias {p.bias:.2f}\nphotos {p.image:.3f}\nprompt {p.text:.3f}" for p in shots]
    return save_sheet(folder / "strip.png", images, captions, columns, request.prompt, best)


def _write_facts(saved: SavedFront, request: GenerationRequest, name: str) -> None:
    """front.json: everything that was measured, with file names that stay right when the folder moves."""
    facts = saved.facts()
    columns = len(saved.biases)
    files = [
        {"file": path.name, "seed": saved.seeds[k // columns], "bias": saved.biases[k % columns]}
        for k, path in enumerate(saved.paths)
    ]
    del facts["paths"], facts["strip"]
    asked = {"prompt": request.prompt, "concept": name, "lock": request.lock, "seed": request.seed}
    for reference in facts["references"]:
        reference["files"] = [Path(path).name for path in reference.pop("paths")]
    facts = {**asked, **facts, "files": files}
    write_atomic(saved.folder / "front.json", json.dumps(facts, indent=1, ensure_ascii=False).encode())


def _part(on_step: Progress | None, first: int, own: int, whole: int) -> Progress | None:
    """Progress of a part, `own` of `whole` images a seed after `first`, as progress of the whole."""
    if on_step is None:
        return None

    def told(done: int, total: int) -> None:
        steps = total // own  # of one image a seed
        on_step(first * steps + done, whole * steps)

    return told
