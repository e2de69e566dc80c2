"""Validation during and after training: generate images of the validation prompts and score them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import TYPE_CHECKING

from perfusion_core.evaluation import FrontPoint, Scorer, Scores, image_similarity, text_similarity
from perfusion_core.sampling.generator import GenerationRequest, Progress, generate_rows
from perfusion_core.sampling.operating_points import Lock, front_biases
from perfusion_core.sampling.request import Row
from perfusion_core.training.events import Stopped

if TYPE_CHECKING:
    from PIL import Image

    from perfusion_core.concept import Concept
    from perfusion_core.studio.bases import LoadedBase

# Seeds of validation images: the same at every step and in every run, so that they can be compared.
FIRST_SEED = 1000


@dataclass(frozen=True)
class Validation:
    """What is generated to score a concept. `prompts` have {} for the concept."""

    prompts: tuple[str, ...]
    steps: int
    guidance: float | None = None

    def rows(self, placeholder: str, biases: Sequence[dict[str, float]] = ({},)) -> list[Row]:
        """Every prompt with its own seed at each of `biases`, prompt by prompt."""
        return [
            Row(FIRST_SEED + k, bias, prompt.format(placeholder))
            for k, prompt in enumerate(self.prompts)
            for bias in biases
        ]


class Judge:
    """Generates and scores one base's validation images. Without a scorer it only generates.

    Once `should_stop` says so, generation ends at its next step with `Stopped`.
    """

    def __init__(
        self,
        loaded: LoadedBase,
        validation: Validation,
        photos: Sequence[Image.Image],
        scorer: Scorer | None,
        should_stop: Callable[[], bool] | None = None,
    ) -> None:
        self._loaded = loaded
        self._validation = validation
        self._photos = list(photos)
        self._scorer = scorer
        self._should_stop = should_stop
        self._generated: tuple[int, list[Image.Image]] | None = None

    def images(self, concept: Concept, step: int) -> list[Image.Image]:
        """The validation images of a checkpoint, generated once for showing and scoring."""
        if self._generated is None or self._generated[0] != step:
            self._generated = (
                step,
                self._generate(concept, self._validation.rows(concept.placeholder), "local"),
            )
        return self._generated[1]

    def score(self, concept: Concept, step: int) -> Scores:
        """A checkpoint's mean similarity to the photos and to the prompts."""
        assert self._scorer is not None, "a judge without a scorer was asked for scores"
        return self._scores(self.images(concept, step), self._texts(concept.superclass))

    def sweep(
        self,
        concept: Concept,
        lock: Lock,
        points: int,
        *,
        on_step: Progress | None = None,
    ) -> list[FrontPoint]:
        """The front of a concept over all validation prompts, from the highest bias to the lowest."""
        biases = front_biases(points, lock)
        rows = self._validation.rows(concept.placeholder, [{concept.name: bias} for bias in biases])
        images = self._generate(concept, rows, lock, on_step)
        found: list[FrontPoint] = []
        for k, bias in enumerate(biases):
            scores = self._scores(images[k::points], self._texts(concept.superclass))
            found.append(FrontPoint(bias, scores.image, scores.text))
        return found

    def baseline(self, superclass: str) -> Scores:
        """The scores of the superclass word without the concept: the baseline of both similarities."""
        rows = self._validation.rows(superclass)
        return self._scores(self._generate(None, rows, "local"), self._texts(superclass))

    def _texts(self, superclass: str) -> list[str]:
        return [prompt.format(superclass) for prompt in self._validation.prompts]

    def _scores(self, images: Sequence[Image.Image], texts: Sequence[str]) -> Scores:
        assert self._scorer is not None
        return Scores(
            fmean(image_similarity(self._scorer, images, self._photos)),
            fmean(text_similarity(self._scorer, images, texts)),
            self._scorer.name,
        )

    def _generate(
        self, concept: Concept | None, rows: list[Row], lock: Lock, on_step: Progress | None = None
    ) -> list[Image.Image]:
        concepts = {} if concept is None else {concept.name: concept}
        asked = self._validation
        request = GenerationRequest(
            rows[0].prompt or "", steps=asked.steps, guidance=asked.guidance, lock=lock
        )
        made = generate_rows(
            self._loaded.base,
            concepts,
            request,
            rows,
            covariance=self._loaded.covariance,
            on_step=on_step,
            should_stop=self._should_stop,
        )
        if made.stopped:
            raise Stopped
        return [image.image for image in made.images]
