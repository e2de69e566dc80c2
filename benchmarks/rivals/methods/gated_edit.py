"""The gated edit, as the studio does it, and as it was published.

Taught by the engine's own trainer with its preset for the base, checkpoints chosen on validation prompts and
the photos that were learned from, masks by the base's segmenter. Its knob is the gate bias. "Perfusion as
published" has the paper's removal of i* (ungated), its gate while teaching, gates measured at placeholders
too, the loss inside the masks alone, and nothing of what the studio added; its preset starts from the paper's
own rates.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any, ClassVar

from benchmarks.rivals.clock import now
from benchmarks.rivals.methods.method import Costs, Learned, Point, Settings, Writer
from perfusion_core.concept import Concept, concept_bytes, concept_from_bytes
from perfusion_core.edit.choices import Lock, Removal
from perfusion_core.model.applied import applied
from perfusion_core.sampling.operating_points import front_biases
from perfusion_core.studio.bases import Missing
from perfusion_core.studio.fronts.validation import Judge, Validation
from perfusion_core.training.masks import subject_masks
from perfusion_core.training.recipe import STABLE_DIFFUSION, Recipe
from perfusion_core.training.trainer import train

if TYPE_CHECKING:
    from benchmarks.rivals.bench import Bench
    from benchmarks.rivals.subject import Subject

CHECKS = 4  # checkpoints of a teaching after its first step
AS_PUBLISHED: dict[str, Any] = {
    **STABLE_DIFFUSION,
    "clarity": 0.0,
    "offset_rate": 0.0,
    "prior": 0.0,
    "background": 0.0,
    "cooldown": 0.0,
    "removal": "paper",
    "inference_temperature": 0.15,
    "checkpoint_every": 25,
}


class GatedEdit:
    knob = "gate bias"
    pairs = "stack"
    ours = True
    rates = (1.0, 0.5, 2.0, 4.0)
    defaults: ClassVar[Settings] = {}
    source = "this project's preset for the base"

    def __init__(
        self,
        name: str,
        title: str,
        *,
        teacher: str = "gated-edit",
        lock: Lock = "local",
        recipe: Settings | None = None,
        compact: bool = False,
        removal: Removal = "gated",
        anchored: bool = True,
    ) -> None:
        self.name, self.title, self.teacher = name, title, teacher
        self._lock: Lock = lock
        self._recipe = dict(recipe or {})
        self._compact, self._removal, self._anchored = compact, removal, anchored

    def settings(self, bench: Bench) -> dict[str, Any]:
        facts = bench.base.description
        chosen = Recipe.preset(facts, **self._recipe)
        rates = {"embedding_share": chosen.embedding_rate / chosen.value_rate}
        return {"steps": chosen.steps, "rate": chosen.value_rate, "batch": chosen.batch_size, **rates}

    def teach(
        self, bench: Bench, subjects: Sequence[Subject], settings: Settings, seed: int, writer: Writer
    ) -> Costs:
        begun, loaded = now(), bench.loaded
        (subject,) = subjects
        photos = list(subject.photos)
        segmenter = None if isinstance(loaded.segmenter, Missing) else loaded.segmenter
        masks = subject_masks(photos, subject.superclass, segmenter)
        steps = int(settings["steps"])
        changes: dict[str, Any] = {
            **self._recipe,
            "steps": steps,
            "batch_size": int(settings["batch"]),
            "value_rate": min(1.0, settings["rate"]),
            "embedding_rate": min(1.0, settings["rate"] * settings["embedding_share"]),
            "checkpoint_every": max(1, -(-steps // CHECKS)),
            "seed": seed,
        }
        if "decay" in self._recipe:  # i* has to forget the superclass in fewer steps too
            lag = (1 - self._recipe["decay"]) * self._recipe["steps"]
            changes["decay"] = max(0.0, min(0.9999, 1 - lag / steps))
        recipe = Recipe.preset(bench.base.description, **changes)
        validation = Validation(
            recipe.validation_prompts, recipe.validation_steps, recipe.validation_guidance
        )
        scorer = None if isinstance(loaded.scorer, Missing) else loaded.scorer
        judge = Judge(loaded, validation, [photo.image for photo in photos], scorer)
        run = writer.folder / "run"
        events = train(
            bench.base, photos, masks, subject.name, subject.superclass, recipe,
            covariance=loaded.covariance, run_dir=run, score=judge.score if scorer else None,
        )  # fmt: skip
        fixed, paces, before = now() - begun, list[float](), now()
        for event in events:
            moment = now()
            if event.kind == "step":
                paces.append(moment - before)
            else:
                fixed += moment - before
            before = moment
            if event.kind == "done":
                assert event.concept is not None
                writer.keep(concept_bytes(event.concept, "float32"))
        shutil.rmtree(run)  # checkpoints that are not needed any more
        return Costs(fixed, median(paces))

    def points(self, count: int) -> tuple[Point, ...]:
        biases = front_biases(count, self._lock) if count > 1 else (0.6,)
        return tuple(Point(f"bias {bias:g}", bias) for bias in biases)

    @contextmanager
    def applied(self, bench: Bench, learned: Sequence[Learned], point: Point) -> Iterator[list[str]]:
        concepts = [self._read(one) for one in learned]
        with applied(
            bench.base.pipeline,
            concepts,
            lock=self._lock,
            removal=self._removal,
            biases={concept.name: point.value for concept in concepts},
            inverse_covariance=bench.loaded.covariance.inverse,
            anchored=self._anchored,
        ):
            yield [concept.placeholder for concept in concepts]

    def size(self, learned: Learned) -> int:
        return len(concept_bytes(self._read(learned), "float16" if self._compact else "float32"))

    def _read(self, learned: Learned) -> Concept:
        found = concept_from_bytes(Path(learned.snapshot(1.0)).read_bytes())
        return concept_from_bytes(concept_bytes(found, "float16")) if self._compact else found
