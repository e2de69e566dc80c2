"""Scores of one concept's images at one operating point, and of all of them together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image
from torch import Tensor

from benchmarks.rivals.judging import Gallery, Judge
from perfusion_core.evaluation import text_similarity

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from benchmarks.rivals.prompts import Prompt
    from benchmarks.rivals.subject import Subject
    from perfusion_core.evaluation import Scorer

ASKED = ("place", "hat", "style")
MEASURES = ("image", "text", "identity", *ASKED, "diversity")


@dataclass(frozen=True)
class Scored:
    """Each measure by seed, a mean over prompts; NaN where nothing was asked or said. Shape: (S,) each."""

    by_seed: dict[str, list[float]]

    def mean(self, measure: str) -> float:
        return nan_mean(np.array(self.by_seed[measure]))


def score(
    images: Sequence[Image.Image],
    subject: Subject,
    prompts: Sequence[Prompt],
    seeds: int,
    judge: Judge,
    scorer: Scorer,
    gallery: Gallery,
) -> Scored:
    """Score images in the order prompts x seeds.

    image: mean similarity to the held-out photos; text: to the prompt with the superclass in it, by CLIP;
    identity: whether the nearest of the gallery is the concept, asked of prompts that leave its colours;
    diversity: mean distance (1 - cosine) to the prompt's images from other seeds.
    """
    shape = (len(prompts), seeds)
    features = judge.features(images)  # (n, F)
    nearest = (features @ gallery.features.T).argmax(dim=1).numpy() == gallery.own[subject.name]
    texts = [prompt.text.format(subject.superclass) for prompt in prompts for _ in range(seeds)]
    found: dict[str, NDArray[np.float64]] = {
        "image": to_photos(features, judge, subject).reshape(shape),
        "text": np.array(text_similarity(scorer, images, texts)).reshape(shape),
        "identity": np.where(
            np.array([[prompt.own_colours] for prompt in prompts]), nearest.reshape(shape), np.nan
        ),
        "diversity": diversity(features, seeds),
    }
    said = judge.said(images)
    for what in ASKED:
        found[what] = np.array([
            [right(said[row * seeds + seed], prompt.asks, what) for seed in range(seeds)]
            for row, prompt in enumerate(prompts)
        ])  # fmt: skip
    return Scored({name: [nan_mean(column) for column in values.T] for name, values in found.items()})


def to_photos(features: Tensor, judge: Judge, subject: Subject) -> NDArray[np.float64]:
    """Mean similarity of each image to the held-out photos. Shape: features (n, F) -> (n,)."""
    return (features @ judge.features(subject.held_out).T).mean(dim=1).numpy().astype(float)


def right(said: Mapping[str, str], asks: Mapping[str, str], what: str) -> float:
    """1 where the classifier says what was asked for, 0 where not, NaN where nothing was asked or said."""
    if what not in asks or what not in said:
        return float("nan")
    return float(said[what] == asks[what])


def diversity(features: Tensor, seeds: int) -> NDArray[np.float64]:
    """Mean distance of each image to its prompt's from other seeds. Shape: (P * S, F) -> (P, S)."""
    rows = features.unflatten(0, (-1, seeds))  # (P, S, F)
    if seeds == 1:
        return np.full(rows.shape[:2], np.nan)
    distance = 1 - rows @ rows.mT  # (P, S, S), 0 on the diagonal up to rounding
    total = distance.sum(-1) - distance.diagonal(dim1=1, dim2=2)
    return (total / (seeds - 1)).numpy().astype(float)


def nan_mean(values: NDArray[np.float64]) -> float:
    """The mean of what is a number; NaN where nothing is."""
    kept = values[~np.isnan(values)]
    return float(kept.mean()) if len(kept) else float("nan")
