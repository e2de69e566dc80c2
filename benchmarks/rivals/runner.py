"""Teach, draw, score: each step once, kept under the hash of everything that it follows from."""

from __future__ import annotations

import hashlib
import shutil
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from PIL import Image

from benchmarks.rivals.bench import Bench, read_images, save_images
from benchmarks.rivals.cache import source_hash
from benchmarks.rivals.clock import now
from benchmarks.rivals.judging import Gallery, Judge
from benchmarks.rivals.methods import denoising, gated_edit, method, words
from benchmarks.rivals.methods.method import Costs, Learned, Method, Point, Settings, Writer
from benchmarks.rivals.prompts import Prompt
from benchmarks.rivals.scoring import Scored, score
from perfusion_core.errors import PerfusionError
from perfusion_core.model.device_memory import is_out_of_memory, release_memory

if TYPE_CHECKING:
    from benchmarks.rivals.subject import Subject

FIRST_SEED = 100
_ENGINE = Path(gated_edit.__file__).parents[3] / "perfusion_core"


@dataclass(frozen=True)
class Teaching:
    """One teaching, done or not yet."""

    method: Method
    subjects: tuple[Subject, ...]
    settings: Settings
    seed: int


@dataclass(frozen=True)
class Drawing:
    """Images of taught subjects by one method at one operating point, in the order templates x seeds.

    {} in the templates stand for the subjects in order; what is left of them for later ones is the caller's,
    who writes plain words there.
    """

    teachings: Sequence[Teaching]
    method: Method
    point: Point
    templates: Sequence[str]
    seeds: int


class Runner:
    """All work on one base; `say` is told what is being done."""

    def __init__(self, bench: Bench, say: Any = print) -> None:
        self.bench = bench
        self._say = say

    @cached_property
    def _base(self) -> dict[str, str]:
        base, covariance = self.bench.base, self.bench.loaded.covariance
        return {"base": base.fingerprint, "device": base.device.type, "covariance": covariance.fingerprint}

    def facts(self, teaching: Teaching) -> dict[str, Any]:
        """Everything that what is learned follows from."""
        bench, taught_by = self.bench, teaching.method
        places = [Path(module.__file__) for module in (denoising, words, method)]
        own = Path(sys.modules[type(taught_by).__module__].__file__ or "")
        if taught_by.teacher.startswith(("gated-edit", "perfusion")):
            own = Path(gated_edit.__file__)
            places += [_ENGINE / name for name in ("edit", "model", "training")]
        return {
            **self._base,
            "teacher": taught_by.teacher,
            "code": source_hash(own, *places),
            "subjects": [subject.sha for subject in teaching.subjects],
            "settings": dict(teaching.settings),
            "seed": teaching.seed,
            "class images": bench.sampling if teaching.settings.get("prior") else None,
            "snapshots": bench.snapshots if taught_by.knob == "steps" else 1,
        }

    def taught(self, teaching: Teaching) -> Learned:
        """What a teaching left; taught now when it was not before. One that failed says why."""
        facts = self.facts(teaching)

        def make(folder: Path) -> None:
            names = " and ".join(subject.name for subject in teaching.subjects)
            self._say(f"teaching {names}: {teaching.method.teacher}, {shown(teaching.settings)}")
            writer, begun, steps = Writer(folder), now(), int(teaching.settings["steps"])
            try:
                costs = teaching.method.teach(
                    self.bench, teaching.subjects, teaching.settings, teaching.seed, writer
                )
                failed = ""
            except (PerfusionError, RuntimeError) as error:
                if not isinstance(error, PerfusionError) and not is_out_of_memory(error):
                    raise
                release_memory()
                costs = Costs(0.0, (now() - begun) / steps)
                failed = str(error) or "not enough memory"
                self._say(f"  failed: {failed}")
            # Not by the clock: class images may be there already, and snapshots are nobody's cost.
            seconds = costs.fixed + steps * costs.step
            writer.close(teaching.subjects, teaching.settings, costs, seconds, failed)

        found = Learned.read(self.bench.cache.folder("taught", facts, make))
        if not found.files and not found.failed:  # let go of after tuning
            shutil.rmtree(found.folder)
            found = Learned.read(self.bench.cache.folder("taught", facts, make))
        return found

    def let_go(self, teaching: Teaching) -> None:
        """Delete the weights of a teaching whose images are drawn; they are learned again when asked for."""
        place = self.bench.cache.root / "taught" / self.bench.cache.key("taught", self.facts(teaching))
        for path in place.glob("snapshot-*"):
            path.unlink()

    def images(self, drawing: Drawing) -> tuple[list[Image.Image], float]:
        """Images in the order templates x seeds, and the seconds one took. Empty where a teaching failed."""
        method, templates, seeds = drawing.method, drawing.templates, drawing.seeds

        def make(folder: Path) -> None:
            learned = [self.taught(teaching) for teaching in drawing.teachings]
            if any(one.failed for one in learned):
                (folder / "seconds").write_text("nan", encoding="utf-8")
                return
            self._say(f"drawing {len(templates) * seeds} images: {method.name}, {drawing.point.label}")
            numbers = [FIRST_SEED + seed for _ in templates for seed in range(seeds)]
            with method.applied(self.bench, learned, drawing.point) as said:
                prompts = [template.format(*said) for template in templates for _ in range(seeds)]
                begun = now()
                images = self.bench.draw(prompts, numbers)
                seconds = (now() - begun) / len(images)
            save_images(images, folder)
            (folder / "seconds").write_text(str(seconds), encoding="utf-8")

        folder = self.bench.cache.folder("images", self._image_facts(drawing), make)
        return read_images(folder), float((folder / "seconds").read_text(encoding="utf-8"))

    def _image_facts(self, drawing: Drawing) -> dict[str, Any]:
        return {
            "taught": [self.facts(teaching) for teaching in drawing.teachings],
            "method": drawing.method.name,
            "point": drawing.point.value,
            "templates": list(drawing.templates),
            "seeds": drawing.seeds,
            "sampling": self.bench.sampling,
        }

    def plain_images(self, templates: Sequence[str], seeds: int) -> list[Image.Image]:
        """The base's own images of prompts without a concept, in the order templates x seeds."""
        facts = {**self._base, "templates": list(templates), "seeds": seeds, "sampling": self.bench.sampling}

        def make(folder: Path) -> None:
            numbers = [FIRST_SEED + seed for _ in templates for seed in range(seeds)]
            save_images(self.bench.draw([t for t in templates for _ in range(seeds)], numbers), folder)

        return read_images(self.bench.cache.folder("plain", facts, make))

    def scored(
        self,
        teaching: Teaching,
        method: Method,
        point: Point,
        prompts: Sequence[Prompt],
        seeds: int,
        judge: Judge,
        gallery: Gallery,
    ) -> Scored | None:
        """The scores of one concept at one operating point; None where the teaching failed."""
        (subject,) = teaching.subjects
        drawing = Drawing((teaching,), method, point, [prompt.text for prompt in prompts], seeds)
        facts = {
            "images": self._image_facts(drawing),
            **judged_by(judge, gallery, subject),
        }

        def make() -> Mapping[str, list[float]] | None:
            images, _ = self.images(drawing)
            if not images:
                return None
            scorer: Any = self.bench.loaded.scorer
            return score(images, subject, prompts, seeds, judge, scorer, gallery).by_seed

        found = self.bench.cache.data("scores", facts, make)
        return Scored(found) if found else None


def judged_by(judge: Judge, gallery: Gallery, subject: Subject) -> dict[str, Any]:
    """What scores depend on beside the images."""
    from benchmarks.rivals import judging, scoring

    code = source_hash(Path(judging.__file__), Path(scoring.__file__))
    photos = hash_of_images(subject.held_out)
    among = hashlib.sha256(gallery.features.numpy().tobytes()).hexdigest()[:16]
    things = [among, subject.name, gallery.own[subject.name]]
    return {"judge": judge.name, "code": code, "held out": photos, "things": things}


def hash_of_images(images: Sequence[Image.Image]) -> str:
    """Names images by their pixels."""
    digest = hashlib.sha256()
    for image in images:
        digest.update(repr(image.size).encode() + image.tobytes())
    return digest.hexdigest()[:16]


def shown(settings: Settings) -> str:
    """Settings on one line."""
    return ", ".join(
        f"{name} {value:.4g}" if isinstance(value, float) else f"{name} {value}"
        for name, value in settings.items()
    )
