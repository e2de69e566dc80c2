"""Scores of images: image similarity (to the photos of the concept) and text similarity (to the prompt).

A scorer is any CLIP-like model with a name; the name is part of every result, since scores of two scorers
cannot be compared. All scores are cosine similarities in [-1, 1].
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from perfusion_core.errors import PerfusionError

if TYPE_CHECKING:
    import numpy as np
    import torch
    from PIL import Image

    Mask = np.ndarray  # (H, W), 0..1


class Scorer(Protocol):
    """What `perfusion_core.model.clip` provides."""

    @property
    def name(self) -> str: ...

    def image_features(self, images: list[Image.Image]) -> torch.Tensor:
        """Unit-length features. Shape: (len(images), F)."""
        ...

    def text_features(self, texts: list[str]) -> torch.Tensor:
        """Unit-length features. Shape: (len(texts), F)."""
        ...


@dataclass(frozen=True)
class Scores:
    """Mean image similarity (to the photos) and text similarity (to the prompt), and the scorer's name."""

    image: float
    text: float
    scorer: str


@dataclass(frozen=True)
class FrontPoint:
    """One gate bias and what it gave."""

    bias: float
    image: float
    text: float


def image_similarity(
    scorer: Scorer,
    images: Sequence[Image.Image],
    photos: Sequence[Image.Image],
    masks: Sequence[Mask] | None = None,
    image_masks: Sequence[Mask] | None = None,
) -> list[float]:
    """Mean similarity of each image to all the photos (the paper's image score).

    `masks` shows the scorer only the subject of each photo, `image_masks` only that of each image; the rest
    becomes mid-grey. Without them whole images are compared.
    """
    _check_not_empty(images, photos)
    seen = [on_grey(p, m) for p, m in zip(photos, masks, strict=True)] if masks is not None else list(photos)
    shown = (
        [on_grey(i, m) for i, m in zip(images, image_masks, strict=True)]
        if image_masks is not None
        else list(images)
    )
    similarity = scorer.image_features(shown) @ scorer.image_features(seen).T  # (images, photos)
    return [float(value) for value in similarity.mean(dim=1)]


def photo_agreement(scorer: Scorer, photos: Sequence[Image.Image]) -> float:
    """Mean similarity of each photo to the others: the most that an image of the subject can reach.

    Raises `PerfusionError` for fewer than two photos.
    """
    count = len(photos)
    if count < 2:
        raise PerfusionError(f"How far photos agree needs at least two of them; there are {count}.")
    features = scorer.image_features(list(photos))
    similarity = features @ features.T  # (photos, photos), 1 on the diagonal
    return float((similarity.sum() - similarity.diagonal().sum()) / (count * (count - 1)))


def text_similarity(
    scorer: Scorer, images: Sequence[Image.Image], prompts: str | Sequence[str]
) -> list[float]:
    """Similarity of each image to its prompt, in which the superclass stands for the placeholder."""
    texts = [prompts] * len(images) if isinstance(prompts, str) else list(prompts)
    if len(texts) != len(images) or not images:
        raise PerfusionError(f"Scoring needs one prompt an image; there are {len(texts)} and {len(images)}.")
    if any("<" in text and ">" in text for text in texts):
        raise PerfusionError(
            "Scoring takes prompts without placeholders: put the kind of thing in their place."
        )
    distinct = sorted(set(texts))
    features = scorer.text_features(distinct)[[distinct.index(text) for text in texts]]
    return [float(value) for value in (scorer.image_features(list(images)) * features).sum(dim=1)]


def on_grey(image: Image.Image, mask: Mask) -> Image.Image:
    """`image` where `mask` is 1 and mid-grey where it is 0."""
    import numpy as np
    from PIL import Image

    alpha = Image.fromarray(np.asarray(np.clip(mask, 0, 1) * 255, dtype=np.uint8), mode="L").resize(
        image.size
    )
    return Image.composite(image.convert("RGB"), Image.new("RGB", image.size, (128, 128, 128)), alpha)


def pareto(points: Sequence[FrontPoint]) -> list[FrontPoint]:
    """The Pareto front: the points that no other exceeds in both scores, from best text to best image."""
    best: list[FrontPoint] = []
    for point in sorted(points, key=lambda p: (-p.text, -p.image)):
        if not best or point.image > best[-1].image:
            best.append(point)
    return best


def hypervolume(points: Sequence[FrontPoint], reference: tuple[float, float] = (0.0, 0.0)) -> float:
    """Area the front dominates above `reference` = (image, text). Larger is better.

    The reference belongs beside the number wherever it is shown; points that do not beat it add nothing.
    """
    area, reached = 0.0, reference[0]
    for point in pareto(points):  # text falls, image rises: a staircase
        if point.text > reference[1] and point.image > reached:
            area += (point.image - reached) * (point.text - reference[1])
            reached = point.image
    return area


def knee(points: Sequence[FrontPoint]) -> FrontPoint:
    """The knee of the Pareto front: the point with the largest sum of both scores, each scaled to 0..1.

    That is the point farthest above the straight line between the front's ends. Of equals, the one whose
    lower score is higher. Raises `PerfusionError` without points.
    """
    front = pareto(points)
    if not front:
        raise PerfusionError("A front without points has no knee; render at least two.")
    image_low, image_high = min(p.image for p in front), max(p.image for p in front)
    text_low, text_high = min(p.text for p in front), max(p.text for p in front)

    def scaled(point: FrontPoint) -> tuple[float, float]:
        image = (point.image - image_low) / ((image_high - image_low) or 1.0)
        text = (point.text - text_low) / ((text_high - text_low) or 1.0)
        return round(image + text, 9), min(image, text)

    return max(front, key=scaled)


def monotonicity(points: Sequence[FrontPoint]) -> tuple[float, float]:
    """How steadily a falling bias moves the image score up and the text score down.

    Each is a rank correlation (Kendall's tau) in [-1, 1]; 1 when every pair of points is in the expected
    order, around 0 when the bias has no consistent effect.
    """
    ordered = sorted(points, key=lambda p: -p.bias)
    if len(ordered) < 2:
        raise PerfusionError("Whether a sweep is steady needs at least two points.")
    return _tau([p.image for p in ordered]), -_tau([p.text for p in ordered])


def _tau(values: Sequence[float]) -> float:
    signs = [
        (later > earlier) - (later < earlier) for k, earlier in enumerate(values) for later in values[k + 1 :]
    ]
    return sum(signs) / len(signs)


def _check_not_empty(images: Sequence[object], photos: Sequence[object]) -> None:
    if not images or not photos:
        raise PerfusionError(
            f"Scoring needs at least one image and one photo; there are {len(images)} and {len(photos)}."
        )
