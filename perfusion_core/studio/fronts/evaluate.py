"""Evaluating a trained concept: its front over prompts and seeds, against the base without the concept."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import fmean
from typing import TYPE_CHECKING, Any

import numpy as np

from perfusion_core.errors import PerfusionError
from perfusion_core.evaluation import (
    FrontPoint,
    Scorer,
    hypervolume,
    image_similarity,
    knee,
    monotonicity,
    text_similarity,
)
from perfusion_core.sampling.generator import GenerationRequest, Progress, generate_rows
from perfusion_core.sampling.operating_points import Lock, front_biases
from perfusion_core.sampling.request import Row
from perfusion_core.studio.bases import LoadedBase, Missing
from perfusion_core.studio.library.library import Library
from perfusion_core.studio.teaching.run_folder import RunFolder

if TYPE_CHECKING:
    from PIL import Image

    from perfusion_core.concept import Concept

REFERENCE = (0.0, 0.0)
FIRST_SEED = 2000  # not those of validation, which chose the checkpoint


@dataclass(frozen=True)
class Evaluation:
    """What was measured. Similarities are cosines of `scorer`; drift is a mean pixel difference in 0..1.

    `subject` is the image similarity of the subject alone at each point (None without a segmenter).
    `steadiness` is the rank correlation of a falling bias with rising image similarity and with falling text
    similarity, 1 at best. `untaught` is the baseline, the superclass in the concept's place. `drift` is how
    far images of control prompts, which do not name the concept, change when it is loaded.
    """

    name: str
    lock: str
    scorer: str
    photos: int
    prompts: tuple[str, ...]
    seeds: int
    points: tuple[FrontPoint, ...]
    subject: tuple[float, ...] | None
    untaught: FrontPoint
    knee: FrontPoint
    hypervolume: float
    hypervolume_reference: tuple[float, float]
    steadiness: tuple[float, float]
    subject_steadiness: float | None
    drift: float

    def facts(self) -> dict[str, Any]:
        """As plain data, for JSON."""
        return asdict(self)


def evaluate_concept(
    library: Library,
    loaded: LoadedBase,
    name: str,
    *,
    lock: Lock = "local",
    points: int = 7,
    prompts: Sequence[str] | None = None,
    seeds: int = 1,
    steps: int | None = None,
    photos: Sequence[Any] | None = None,
    on_step: Progress | None = None,
) -> Evaluation:
    """Sweep the gate bias over prompts and seeds and score every image.

    `prompts` have {} for the concept; the recipe's validation prompts by default. `photos` (as `load_photos`
    takes them) replace those the concept was trained on. Raises `PerfusionError` without photos or scorer.
    """
    from perfusion_core.training.recipe import VALIDATION_PROMPTS

    entry = library.get(name)
    concept = entry.load()
    originals, masks = _photos(RunFolder(entry.folder), photos, entry.name)
    scorer = loaded.scorer
    if isinstance(scorer, Missing):
        raise PerfusionError(f"Nothing can be scored. {scorer.reason}")
    wording = tuple(prompts or VALIDATION_PROMPTS)
    for prompt in wording:
        if prompt.count("{}") != 1:
            raise PerfusionError(f"Put {{}} once where the concept goes, in {prompt!r}.")
    biases = front_biases(points, lock)
    shots = [(k, prompt) for k in range(seeds) for prompt in wording]
    rows = [
        Row(FIRST_SEED + k, {concept.name: bias}, prompt.format(concept.placeholder))
        for bias in biases
        for k, prompt in shots
    ]
    plain = [Row(FIRST_SEED + k, {}, prompt.format(concept.superclass)) for k, prompt in shots]
    control = [*plain, *rows[:1]]  # the last names the concept, so that it is loaded
    whole = len(rows) + len(plain) + len(control)
    counter = _Counter(on_step, whole)

    swept = _generate(loaded, concept, rows, lock, steps, counter)
    baseline = _generate(loaded, None, plain, lock, steps, counter)
    with_concept = _generate(loaded, concept, control, lock, steps, counter)[:-1]
    texts = [prompt.format(concept.superclass) for _, prompt in shots]
    found = [
        _point(scorer, bias, swept[k * len(shots) : (k + 1) * len(shots)], originals, texts)
        for k, bias in enumerate(biases)
    ]
    subject = _subject(loaded, scorer, swept, originals, masks, concept.superclass, len(shots))
    return Evaluation(
        name=entry.name,
        lock=lock,
        scorer=scorer.name,
        photos=len(originals),
        prompts=wording,
        seeds=seeds,
        points=tuple(found),
        subject=subject,
        untaught=_point(scorer, 0.0, baseline, originals, texts),
        knee=knee(found),
        hypervolume=hypervolume(found, REFERENCE),
        hypervolume_reference=REFERENCE,
        steadiness=monotonicity(found),
        subject_steadiness=_subject_steadiness(found, subject),
        drift=fmean(_difference(a, b) for a, b in zip(baseline, with_concept, strict=True)),
    )


class _Counter:
    """One progress over several calls."""

    def __init__(self, on_step: Progress | None, images: int) -> None:
        self._on_step = on_step
        self._images = images
        self._before = 0.0

    def listener(self, images: int) -> Progress:
        """Progress of a call that makes so many of the images, in thousandths of an image."""
        start = self._before
        self._before += images

        def on_step(done: int, total: int) -> None:
            if self._on_step is not None:
                self._on_step(round(1000 * (start + images * done / total)), 1000 * self._images)

        return on_step


def _photos(
    run: RunFolder, given: Sequence[Any] | None, name: str
) -> tuple[list[Image.Image], list[Any] | None]:
    if given:
        from perfusion_core.training.photos import load_photos

        return [photo.image for photo in load_photos(given)], None
    squares, masks = run.squares()
    if not squares:
        raise PerfusionError(
            f"<{name}> came without its photos, so its images cannot be scored. Give some with --photos."
        )
    return squares, list(masks)


def _generate(
    loaded: LoadedBase,
    concept: Concept | None,
    rows: list[Row],
    lock: Lock,
    steps: int | None,
    counter: _Counter,
) -> list[Image.Image]:
    named = rows[-1].prompt or ""
    made = generate_rows(
        loaded.base,
        {} if concept is None else {concept.name: concept},
        GenerationRequest(named, steps=steps, lock=lock),
        rows,
        covariance=loaded.covariance,
        on_step=counter.listener(len(rows)),
    )
    return [image.image for image in made.images]


def _point(
    scorer: Scorer,
    bias: float,
    images: Sequence[Image.Image],
    photos: Sequence[Image.Image],
    texts: Sequence[str],
) -> FrontPoint:
    return FrontPoint(
        bias,
        fmean(image_similarity(scorer, images, photos)),
        fmean(text_similarity(scorer, images, texts)),
    )


def _subject(
    loaded: LoadedBase,
    scorer: Scorer,
    images: Sequence[Image.Image],
    photos: Sequence[Image.Image],
    masks: Sequence[Any] | None,
    superclass: str,
    shots: int,
) -> tuple[float, ...] | None:
    """Image similarity of the subjects alone, the background hidden in photos and images alike."""
    segmenter = loaded.segmenter
    if isinstance(segmenter, Missing):
        return None
    seen = masks if masks is not None else segmenter.soft_masks(list(photos), superclass)
    found = segmenter.soft_masks(list(images), superclass)
    scores = image_similarity(scorer, images, photos, seen, found)
    return tuple(fmean(scores[k : k + shots]) for k in range(0, len(scores), shots))


def _subject_steadiness(points: Sequence[FrontPoint], subject: Sequence[float] | None) -> float | None:
    if subject is None:
        return None
    seen = [FrontPoint(point.bias, image, point.text) for point, image in zip(points, subject, strict=True)]
    return monotonicity(seen)[0]


def _difference(one: Image.Image, other: Image.Image) -> float:
    first, second = (np.asarray(image.convert("RGB"), dtype=np.float32) for image in (one, other))
    return float(np.abs(first - second).mean()) / 255.0


def save_report(evaluation: Evaluation, path: Path) -> None:
    """Write the evaluation as JSON."""
    import json

    from perfusion_core.files import write_atomic

    write_atomic(path, json.dumps(evaluation.facts(), indent=1, ensure_ascii=False).encode())
