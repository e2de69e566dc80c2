"""Two concepts in one image, and one beside the plain word of its kind: what bleed is measured on."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from benchmarks.rivals.bleed import DIFFERENT, PLAIN, SAME, bleed, pairs_of
from benchmarks.rivals.methods.method import Method, Point
from benchmarks.rivals.prompts import PAIR_PROMPTS
from benchmarks.rivals.results import PairResult, Regime
from benchmarks.rivals.runner import Drawing, Teaching

if TYPE_CHECKING:
    from benchmarks.rivals.study import Study
    from benchmarks.rivals.subject import Subject

PLAIN_IMAGES = 8  # of the plain word, which say what it looks like


def bleed_results(study: Study, regime: Regime) -> list[PairResult]:
    """Bleed of every method that can, at the knee of its own front in `regime`."""
    subjects = {subject.name: subject for subject in study.subjects}
    limit = study.options.pairs
    found = pairs_of([(s.name, s.superclass) for s in study.subjects], limit)
    points = {result.name: result.knee for result in regime.methods}
    results: list[PairResult] = []
    for method in study.methods.values():
        known = points.get(method.name, points.get(method.teacher, study.options.points - 1))
        point = method.points(study.options.points)[known]
        if method.pairs:
            for kind in (SAME, DIFFERENT):
                both = [(subjects[a], subjects[b]) for a, b in found[kind]]
                results += _of_kind(study, method, point, kind, both)
        if method.pairs != "joint":
            alone = [(subject,) for subject in study.subjects[:limit]]
            results += _of_kind(study, method, point, PLAIN, alone)
    return results


def _of_kind(
    study: Study, method: Method, point: Point, kind: str, groups: Sequence[tuple[Subject, ...]]
) -> list[PairResult]:
    """A result over all groups whose teachings did not fail; none without any."""
    seeds = study.options.seeds
    bled: list[list[float]] = []
    margins: list[list[float]] = []
    names: list[str] = []
    for group in groups:
        plain = group[0].superclass if len(group) == 1 else "{}"
        templates = [prompt.format("{}", plain) for prompt in PAIR_PROMPTS]
        drawing = Drawing(_teachings(study, method, group), method, point, templates, seeds)
        images, _ = study.runner.images(drawing)
        if not images:
            continue
        found = bleed(study.judge.halves(images), _references(study, group))
        shape = (len(templates), seeds)
        bled.append(np.reshape(found.bled, shape).mean(axis=0).tolist())
        margins.append(np.reshape(found.margin, shape).mean(axis=0).tolist())
        names.append(" and ".join([s.name for s in group] + ([f"plain {plain}"] if len(group) == 1 else [])))
    if not names:
        return []
    return [
        PairResult(kind, method.name, method.title, method.ours, names, np.array(bled), np.array(margins))
    ]


def _teachings(study: Study, method: Method, group: tuple[Subject, ...]) -> list[Teaching]:
    settings, seed = study.settings(method, "budget"), study.options.seed
    if method.pairs == "joint":
        return [Teaching(method, group, settings, seed)]
    return [Teaching(method, (subject,), settings, seed) for subject in group]


def _references(study: Study, group: tuple[Subject, ...]) -> Tensor:
    """What each side should look like: held-out photos, or the plain word's own images. Shape: (2, F)."""
    looks = [study.judge.features(subject.held_out).mean(dim=0) for subject in group]
    if len(group) == 1:
        template = f"a photo of a {group[0].superclass}"
        looks.append(study.judge.features(study.runner.plain_images([template], PLAIN_IMAGES)).mean(dim=0))
    return functional.normalize(torch.stack(looks), dim=-1)
