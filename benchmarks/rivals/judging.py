"""Who judges the images: a network that no method was tuned with where there is one, else the base's CLIP.

A judge has a name, which stands beside every figure: scores of two judges cannot be compared.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional

from perfusion_core.errors import PerfusionError

if TYPE_CHECKING:
    from benchmarks.rivals.subject import Subject
    from perfusion_core.evaluation import Scorer

_BATCH = 64


@dataclass(frozen=True)
class Gallery:
    """The things among which an image's nearest is looked for. Shape: features (G, F); own: by subject."""

    features: Tensor
    own: dict[str, int]
    what: str


class Judge(Protocol):
    """name: said beside its scores; independent: whether no method was tuned or trained with it."""

    name: str
    independent: bool

    def features(self, images: Sequence[Image.Image]) -> Tensor:
        """What whole images show. Shape: (n, F), unit vectors."""
        ...

    def halves(self, images: Sequence[Image.Image]) -> Tensor:
        """What stands on the left and on the right. Shape: (n, 2, F), unit vectors."""
        ...

    def said(self, images: Sequence[Image.Image]) -> list[dict[str, str]]:
        """Place, hat and style of each image; empty where the judge does not tell them."""
        ...

    def gallery(self, subjects: Sequence[Subject]) -> Gallery:
        """All things it knows, or the photos of all subjects."""
        ...


class ClipJudge:
    """The base's own CLIP. Our checkpoints and every method's settings are chosen with it."""

    independent = False

    def __init__(self, scorer: Scorer) -> None:
        self.name = scorer.name
        self._scorer = scorer

    def features(self, images: Sequence[Image.Image]) -> Tensor:
        parts = [images[k : k + _BATCH] for k in range(0, len(images), _BATCH)]
        return torch.cat([self._scorer.image_features(list(part)) for part in parts]).cpu().float()

    def halves(self, images: Sequence[Image.Image]) -> Tensor:
        cut = [half for image in images for half in _halves(image)]
        return self.features(cut).unflatten(0, (-1, 2))

    def said(self, images: Sequence[Image.Image]) -> list[dict[str, str]]:
        return [{} for _ in images]

    def gallery(self, subjects: Sequence[Subject]) -> Gallery:
        return photo_gallery(self, subjects)


def photo_gallery(judge: Judge, subjects: Sequence[Subject]) -> Gallery:
    """One thing a subject: the mean of its held-out photos."""
    means = torch.stack([judge.features(subject.held_out).mean(dim=0) for subject in subjects])
    own = {subject.name: k for k, subject in enumerate(subjects)}
    return Gallery(functional.normalize(means, dim=-1), own, f"{len(subjects)} concepts of this comparison")


class ThingJudge:
    """The metric-learned embedder of `tools/pocket`: knows every thing, held-out ones too; never shipped."""

    independent = True

    def __init__(self, network: Any, name: str) -> None:
        self.name = name
        self._network = network.eval()

    @torch.no_grad()
    def _answers(self, images: Sequence[Image.Image]) -> list[Any]:
        arrays = np.stack([np.asarray(image.convert("RGB").resize((128, 128))) for image in images])
        pixels = torch.from_numpy(arrays).permute(0, 3, 1, 2).float() / 255
        return [self._network(part) for part in pixels.split(_BATCH)]

    def features(self, images: Sequence[Image.Image]) -> Tensor:
        return torch.cat([answer.embeddings[:, 0] for answer in self._answers(images)])

    def halves(self, images: Sequence[Image.Image]) -> Tensor:
        return torch.cat([answer.embeddings[:, 1:] for answer in self._answers(images)])

    def said(self, images: Sequence[Image.Image]) -> list[dict[str, str]]:
        from tools.pocket.judge import HAT_NAMES
        from tools.pocket.things import PLACES, STYLES

        found: list[dict[str, str]] = []
        for answer in self._answers(images):
            hats = answer.slots["hat"][:, 0].argmax(-1).tolist()
            places, styles = (answer.scene[head].argmax(-1).tolist() for head in ("place", "style"))
            found += [
                {"hat": HAT_NAMES[hat], "place": list(PLACES)[place], "style": list(STYLES)[style]}
                for hat, place, style in zip(hats, places, styles, strict=True)
            ]
        return found

    def gallery(self, subjects: Sequence[Subject]) -> Gallery:
        numbers = {subject.name: _sprite_number(subject) for subject in subjects}
        if any(number is None for number in numbers.values()):
            return photo_gallery(self, subjects)
        proxies = functional.normalize(self._network.proxies.detach().float(), dim=-1)
        own = {name: number for name, number in numbers.items() if number is not None}
        return Gallery(proxies, own, f"all {len(proxies)} things the judge knows")


def load_judge(folder: Path | None, scorer: Scorer) -> Judge:
    """The judge in a work folder of `tools/pocket`, put there by `train_judge`; else the base's CLIP.

    Raises PerfusionError where the folder has no judge.
    """
    if folder is None:
        return ClipJudge(scorer)
    from benchmarks.rivals.cache import source_hash
    from tools.pocket import judge

    try:
        network = judge.load_judge(folder)
    except FileNotFoundError as error:
        raise PerfusionError(f"{error} Or leave --judge out: the base's CLIP judges then.") from None
    weights = Path(folder) / "judge" / "judge.safetensors"
    return ThingJudge(network, f"pocket judge {source_hash(weights)[:8]}")


def _sprite_number(subject: Subject) -> int | None:
    from tools.pocket.sprites import SOURCES
    from tools.pocket.things import NUMBER

    if subject.source is None:
        return None
    package, sprite = subject.source
    art = next((art for art, source in SOURCES.items() if source.name == package), "")
    return NUMBER.get((art, sprite))


def _halves(image: Image.Image) -> list[Image.Image]:
    """The left and the right half, each on a grey square, so that nothing of it is cropped away."""
    width, height = image.size
    halves = []
    for left in (0, width // 2):
        square = Image.new("RGB", (max(width // 2, height),) * 2, (128, 128, 128))
        half = image.convert("RGB").crop((left, 0, left + width // 2, height))
        square.paste(half, ((square.width - half.width) // 2, (square.height - half.height) // 2))
        halves.append(square)
    return halves
