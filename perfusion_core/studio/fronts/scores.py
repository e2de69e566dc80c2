"""What a front is scored with: the concept's photos, a scorer, and two reference points."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import TYPE_CHECKING, Literal

from perfusion_core.evaluation import FrontPoint, Scorer, image_similarity, photo_agreement, text_similarity
from perfusion_core.studio.bases import LoadedBase, Missing
from perfusion_core.studio.teaching.run_folder import RunFolder

if TYPE_CHECKING:
    from PIL import Image

    from perfusion_core.studio.library.library import Library


@dataclass(frozen=True)
class Reference:
    """A reference point beside the front, and the images it was measured on.

    "superclass" is the baseline: the base's image of the prompt with the superclass in the concept's place,
    where a concept without any effect would be. "photos" compares the photos with each other: the highest
    image similarity that an image can be expected to reach.
    """

    kind: Literal["superclass", "photos"]
    image: float
    text: float
    paths: tuple[Path, ...] = ()

    def facts(self) -> dict[str, object]:
        """As plain data, for JSON."""
        return {
            "kind": self.kind,
            "image": self.image,
            "text": self.text,
            "paths": [str(path) for path in self.paths],
        }


@dataclass(frozen=True)
class FrontJudge:
    """Scores images against the photos of one concept."""

    scorer: Scorer
    photos: list[Image.Image]

    def shots(self, images: Sequence[Image.Image], biases: Sequence[float], text: str) -> list[FrontPoint]:
        """The scores of each image; `biases` has one for each."""
        if not images:
            return []
        image_scores = image_similarity(self.scorer, images, self.photos)
        text_scores = text_similarity(self.scorer, images, text)
        return [FrontPoint(b, i, t) for b, i, t in zip(biases, image_scores, text_scores, strict=True)]

    def references(self, plain: Sequence[Image.Image], paths: Sequence[Path], text: str) -> list[Reference]:
        """The baseline from the base's images of `text`, and the photos where there are two or more."""
        found: list[Reference] = []
        if plain:
            image = fmean(image_similarity(self.scorer, plain, self.photos))
            text_score = fmean(text_similarity(self.scorer, plain, text))
            found.append(Reference("superclass", image, text_score, tuple(paths)))
        if len(self.photos) > 1:
            agreement = photo_agreement(self.scorer, self.photos)
            found.append(
                Reference("photos", agreement, fmean(text_similarity(self.scorer, self.photos, text)))
            )
        return found


def judge_for(library: Library, loaded: LoadedBase, name: str, warnings: list[str]) -> FrontJudge | None:
    """What scores the front of `name`; None, and why in `warnings`, when nothing can."""
    photos, _ = RunFolder(library.get(name).folder).squares()
    if not photos:
        warnings.append(f"<{name}> came without its photos, so its front is not scored.")
        return None
    scorer = loaded.scorer
    if isinstance(scorer, Missing):
        warnings.append(f"The front is not scored. {scorer.reason}")
        return None
    return FrontJudge(scorer, photos)


def mean_points(shots: Sequence[FrontPoint], biases: Sequence[float]) -> list[FrontPoint]:
    """The mean over the seeds for each bias; `shots` has a whole row of `biases` for each seed.

    A last row that was not finished does not count beside whole ones: other seeds would be compared.
    """
    whole = len(shots) // len(biases) * len(biases) or len(shots)
    columns = [shots[:whole][k :: len(biases)] for k in range(len(biases))]
    return [
        FrontPoint(bias, fmean(shot.image for shot in column), fmean(shot.text for shot in column))
        for bias, column in zip(biases, columns, strict=True)
        if column
    ]
