"""The whole comparison, from photos to results: tune, teach, draw, judge."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from statistics import fmean
from typing import TYPE_CHECKING, Any

import numpy as np

from benchmarks.rivals.judging import Gallery, Judge
from benchmarks.rivals.methods.method import Method, Settings
from benchmarks.rivals.methods.registry import OURS
from benchmarks.rivals.results import MethodResult, Regime
from benchmarks.rivals.runner import FIRST_SEED, Drawing, Runner, Teaching
from benchmarks.rivals.scoring import MEASURES, Scored, score
from benchmarks.rivals.sheets import contact_sheet
from benchmarks.rivals.tuning import Tuned, candidates, pace, references, tune
from perfusion_core.errors import PerfusionError

if TYPE_CHECKING:
    from PIL import Image

    from benchmarks.rivals.options import Options
    from benchmarks.rivals.prompts import Prompt
    from benchmarks.rivals.subject import Subject

TITLES = {
    "budget": "The same seconds for every teaching",
    "best": "Each method at its own best, whatever it takes",
    "one-shot": "One photo, the same seconds",
}
SHEET_PROMPTS = 6


@dataclass
class Study:
    """Methods compared on concepts. `chosen` fills as teachers are tuned."""

    runner: Runner
    judge: Judge
    options: Options
    methods: Mapping[str, Method]
    develop: Sequence[Subject]
    subjects: Sequence[Subject]
    chosen: dict[tuple[str, str], Tuned] = field(default_factory=dict[tuple[str, str], Tuned])

    @cached_property
    def gallery(self) -> Gallery:
        return self.judge.gallery([*self.develop, *self.subjects])

    @cached_property
    def budget(self) -> float:
        """Seconds of every teaching: those asked for, else what our preset takes."""
        if self.options.budget:
            return self.options.budget
        from benchmarks.rivals.methods.registry import all_methods

        ours = all_methods()[OURS]
        costs = pace(self.runner, ours, self.develop[0])
        return costs.fixed + costs.step * ours.settings(self.runner.bench)["steps"]

    def prompts(self, subject: Subject) -> tuple[Prompt, ...]:
        return subject.prompts[: self.options.prompts]

    def settings(self, method: Method, regime: str) -> dict[str, Any]:
        """What the method is taught with, chosen once a teacher and regime."""
        kind = "best" if regime == "best" else "budget"
        key = (method.teacher, kind)
        if key not in self.chosen:
            costs = pace(self.runner, method, self.develop[0])
            own = method.settings(self.runner.bench)
            budget = None if kind == "best" else self.budget
            tried = candidates(method, own, self.options, budget, costs)
            self.chosen[key] = tune(self.runner, method, self.develop, tried, self.options.points)
        return self.chosen[key].settings

    def regime(self, name: str, sheets: Path | None = None) -> Regime:
        """Compare all methods on all concepts. Contact sheets are written to `sheets`, a file a concept."""
        subjects = [s.with_one_photo() for s in self.subjects] if name == "one-shot" else list(self.subjects)
        # Two concepts together are the only use of a method that teaches both at once.
        single = [method for method in self.methods.values() if method.pairs != "joint"]
        found = [self._plain_words(subject) for subject in subjects]
        plain = {measure: _mean(scored.mean(measure) for scored, _ in found) for measure in MEASURES}
        reference = (fmean(r[0] for _, r in found), fmean(r[1] for _, r in found))
        result = Regime(name, TITLES[name], [s.name for s in subjects], reference, plain)
        for method in single:
            settings = self.settings(method, name)
            result.methods.append(self._method(method, settings, subjects, [scored for scored, _ in found]))
        if sheets:
            for subject in subjects:
                self._sheet(subject, result, sheets / f"{name}-{subject.name}.png")
        return result

    def _plain_words(self, subject: Subject) -> tuple[Scored, tuple[float, float]]:
        """The scores of the untaught base by the superclass word, and the reference point."""
        prompts, seeds = self.prompts(subject), self.options.seeds
        images = self.runner.plain_images([p.text.format(subject.superclass) for p in prompts], seeds)
        scorer: Any = self.runner.bench.loaded.scorer
        scored = score(images, subject, prompts, seeds, self.judge, scorer, self.gallery)
        return scored, references(self.runner, subject, prompts, seeds, self.judge)

    def _method(
        self, method: Method, settings: Settings, subjects: Sequence[Subject], plain: Sequence[Scored]
    ) -> MethodResult:
        points = method.points(self.options.points)
        shape = (len(points), len(subjects), self.options.seeds)
        scores = {measure: np.full(shape, np.nan) for measure in MEASURES}
        failed: dict[str, str] = {}
        sizes, teach_seconds, draw_seconds = list[int](), list[float](), list[float]()
        for c, subject in enumerate(subjects):
            teaching = Teaching(method, (subject,), settings, self.options.seed)
            for p, point in enumerate(points):
                prompts = self.prompts(subject)
                scored = self.runner.scored(
                    teaching, method, point, prompts, self.options.seeds, self.judge, self.gallery
                )
                for measure in MEASURES:  # a failure leaves a person with the plain word
                    scores[measure][p, c] = (scored or plain[c]).by_seed[measure]
            learned = self.runner.taught(teaching)
            if learned.failed:
                failed[subject.name] = learned.failed
                continue
            sizes.append(method.size(learned))
            teach_seconds.append(learned.seconds)
            templates = [prompt.text for prompt in self.prompts(subject)]
            drawing = Drawing([teaching], method, points[-1], templates, self.options.seeds)
            draw_seconds.append(self.runner.images(drawing)[1])
        return MethodResult(
            name=method.name,
            title=method.title,
            ours=method.ours,
            knob=method.knob,
            source=method.source,
            settings=dict(settings),
            points=[point.label for point in points],
            scores=scores,
            size=round(_mean(sizes)) if sizes else 0,
            teach_seconds=_mean(teach_seconds),
            draw_seconds=_mean(draw_seconds),
            failed=failed,
        )

    def _sheet(self, subject: Subject, regime: Regime, path: Path) -> None:
        """Photos on top, then the plain word, then a row a method at its knee, all with the same seed."""
        prompts, seeds = self.prompts(subject), self.options.seeds
        texts = [prompt.text for prompt in prompts]
        plain = self.runner.plain_images([text.format(subject.superclass) for text in texts], seeds)
        rows: list[tuple[str, list[Image.Image]]] = [
            ("photos", [photo.image for photo in subject.photos]),
            (f"plain: {subject.superclass}", plain[::seeds][:SHEET_PROMPTS]),
        ]
        for result in regime.methods:
            method = self.methods[result.name]
            point = method.points(self.options.points)[result.knee]
            teaching = Teaching(method, (subject,), result.settings, self.options.seed)
            images, _ = self.runner.images(Drawing([teaching], method, point, texts, seeds))
            rows.append((f"{result.name}, {point.label}", images[::seeds][:SHEET_PROMPTS]))
        columns = [text.format(f"[{subject.name}]") for text in texts[:SHEET_PROMPTS]]
        contact_sheet(rows, columns, path, f"seed {FIRST_SEED}")


def split(subjects: Sequence[Subject], options: Options) -> tuple[list[Subject], list[Subject]]:
    """The development concepts (by name, else the first two) and those compared.

    Raises PerfusionError for a name that is not there, or where nothing is left to compare.
    """
    names = [subject.name for subject in subjects]
    for name in options.develop:
        if name not in names:
            raise PerfusionError(
                f"There is no concept {name!r} to develop on. There are: {', '.join(names)}."
            )
    developed = options.develop or tuple(names[:2])
    rest = [subject for subject in subjects if subject.name not in developed]
    if not rest:
        raise PerfusionError(
            f"Nothing is left to compare beside the development concepts {', '.join(developed)}. "
            "Add concepts."
        )
    return [s for s in subjects if s.name in developed], rest[: options.limit or None]


def _mean(values: Any) -> float:
    known = [value for value in values if not np.isnan(value)]
    return fmean(known) if known else float("nan")
