"""Every method's settings, chosen with the same effort on two development concepts that are then left out.

Under a budget of seconds the steps are what fits into it at the measured pace, so that a run repeats; what is
chosen is the rate. At a method's own best its script's number of steps and half of it are tried too. The
measure is the hypervolume of its front on the held-out photos by the base's CLIP, with prompts that the
comparison does not use; the same number of candidates for every method.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import TYPE_CHECKING, Any

from benchmarks.rivals.judging import ClipJudge
from benchmarks.rivals.methods.method import Costs, Method, Settings
from benchmarks.rivals.prompts import TUNING_PROMPTS
from benchmarks.rivals.runner import Runner, Teaching, shown
from benchmarks.rivals.scoring import nan_mean, to_photos
from perfusion_core.evaluation import FrontPoint, hypervolume, text_similarity

if TYPE_CHECKING:
    from benchmarks.rivals.options import Options
    from benchmarks.rivals.prompts import Prompt
    from benchmarks.rivals.subject import Subject

PACE_STEPS = 4
PACE_IMAGES = 4
SHARE_OF_CLASS_IMAGES = 1 / 3  # of the budget, at most
TUNING_SEEDS = 2


@dataclass(frozen=True)
class Tuned:
    """The settings chosen for a teacher in one regime, and what every candidate came to."""

    settings: dict[str, Any]
    tried: list[tuple[str, float]]


def pace(runner: Runner, method: Method, subject: Subject) -> Costs:
    """What the method's teaching costs here, from a few steps of it."""
    settings = {**method.settings(runner.bench), "steps": PACE_STEPS}
    if settings.get("prior"):
        settings["class_images"] = PACE_IMAGES
    teaching = Teaching(method, (subject,), settings, 0)
    return runner.taught(teaching).costs


def within(budget: float, costs: Costs, settings: Settings) -> dict[str, Any]:
    """The settings with as many steps as fit into `budget` seconds, and fewer class images where needed."""
    chosen = dict(settings)
    fixed = costs.fixed
    if settings.get("prior") and costs.image:
        fixed -= PACE_IMAGES * costs.image
        most = int(budget * SHARE_OF_CLASS_IMAGES / costs.image)
        chosen["class_images"] = max(1, min(int(settings["class_images"]), most))
        fixed += chosen["class_images"] * costs.image
    steps = int((budget - fixed) / costs.step) if costs.step else int(settings["steps"])
    chosen["steps"] = max(1, steps)
    return chosen


def candidates(
    method: Method, own: Settings, options: Options, budget: float | None, costs: Costs
) -> list[dict[str, Any]]:
    """The settings to try: rates alone under a budget (seconds), rates and lengths without one."""
    rates = [{**own, "rate": own["rate"] * factor} for factor in method.rates[: options.rates]]
    if budget is not None:
        return [within(budget, costs, settings) for settings in rates]
    return [
        {**settings, "steps": max(1, round(settings["steps"] * length))}
        for settings in rates
        for length in options.lengths
    ]


def tune(
    runner: Runner, method: Method, develop: Sequence[Subject], tried: Sequence[Settings], points: int
) -> Tuned:
    """The candidate with the largest hypervolume on the development concepts. One candidate is not tried."""
    if len(tried) == 1:
        return Tuned(dict(tried[0]), [])
    found = [(settings, _worth(runner, method, develop, settings, points)) for settings in tried]
    best, _ = max(found, key=lambda pair: pair[1])
    for settings, _ in found:
        if settings is not best:
            for subject in develop:
                runner.let_go(Teaching(method, (subject,), settings, 0))
    return Tuned(dict(best), [(shown(settings), worth[0]) for settings, worth in found])


def _worth(
    runner: Runner, method: Method, develop: Sequence[Subject], settings: Settings, points: int
) -> tuple[float, float]:
    """Mean hypervolume above the reference, and above (0, 0) for methods that do not reach it."""
    scorer: Any = runner.bench.loaded.scorer
    judge = ClipJudge(scorer)
    gallery = judge.gallery(develop)
    above: list[float] = []
    over_all: list[float] = []
    for subject in develop:
        teaching = Teaching(method, (subject,), settings, 0)
        front: list[FrontPoint] = []
        for k, point in enumerate(method.points(points)):
            scored = runner.scored(teaching, method, point, TUNING_PROMPTS, TUNING_SEEDS, judge, gallery)
            if scored is not None:
                front.append(FrontPoint(float(k), scored.mean("image"), scored.mean("text")))
        reference = references(runner, subject, TUNING_PROMPTS, TUNING_SEEDS, judge)
        above.append(hypervolume(front, reference))
        over_all.append(hypervolume(front))
    return fmean(above), fmean(over_all)


def references(
    runner: Runner, subject: Subject, prompts: Sequence[Prompt], seeds: int, judge: Any
) -> tuple[float, float]:
    """(image, text) that cost nothing: of the base's images of the superclass, and of the photos as images.

    A method has to look more like the photos than the plain word does, and follow prompts better than a photo
    that ignores them.
    """
    scorer: Any = runner.bench.loaded.scorer
    texts = [prompt.text.format(subject.superclass) for prompt in prompts]
    images = runner.plain_images(texts, seeds)
    likeness = nan_mean(to_photos(judge.features(images), judge, subject))
    shown_texts = [text for text in texts for _ in subject.held_out]
    photos = [photo for _ in texts for photo in subject.held_out]
    return likeness, fmean(text_similarity(scorer, photos, shown_texts))
