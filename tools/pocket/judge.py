"""The judge: a small convolutional classifier that says what a picture shows, made without the shipped CLIP.

It answers, for three places an object may stand (alone in the middle, left of two, right of two): which
class, which named colour, which hat; and for the whole picture: one object or two, which place, which
backdrop colour, which style. "Nothing recognisable" is a class of its own, so that a blob counts as a blob.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.nn import functional as F

from tools.pocket.domain import ACCESSORIES, CLASSES, COLOURS, PLACES, STYLES
from tools.pocket.scene import Scene, Thing

KINDS = (*CLASSES, "nothing recognisable")
HATS = ("none", *ACCESSORIES)
SPRITES = tuple(code for codes in CLASSES.values() for code in codes)
NOTHING, UNKNOWN = len(CLASSES), -100  # UNKNOWN is cross_entropy's "do not count"
SLOT_HEADS = {"kind": len(KINDS), "colour": len(COLOURS), "hat": len(HATS), "sprite": len(SPRITES)}
SCENE_HEADS = {"count": 2, "place": len(PLACES), "backdrop": len(COLOURS), "style": len(STYLES)}
ALONE, LEFT, RIGHT = range(3)
COLOURED_STYLES = ("photo", "pixel")  # the styles in which a named colour can be seen


@dataclass(frozen=True)
class Answer:
    """Logits: slots[head] (n, 3, choices), scene[head] (n, choices); embedding (n, 192), lone object."""

    slots: dict[str, Tensor]
    scene: dict[str, Tensor]
    embedding: Tensor


class Block(nn.Module):
    """Two 3x3 convolutions around a shortcut."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.GroupNorm(8, width), nn.SiLU(), nn.Conv2d(width, width, 3, padding=1),
            nn.GroupNorm(8, width), nn.SiLU(), nn.Conv2d(width, width, 3, padding=1),
        )  # fmt: skip

    def forward(self, hidden: Tensor) -> Tensor:
        """(n, width, h, w) -> the same shape."""
        return hidden + self.body(hidden)


class Judge(nn.Module):
    """Pictures (n, 3, 128, 128) in [0, 1] -> Answer."""

    def __init__(self, widths: tuple[int, int, int] = (48, 96, 160), cell: int = 48) -> None:
        """`cell` numbers are kept of each of the 8x8 cells: where something is seen is not pooled away."""
        super().__init__()
        first, second, third = widths
        self.trunk = nn.Sequential(
            nn.Conv2d(3, first, 6, stride=4, padding=1), Block(first),
            nn.Conv2d(first, second, 3, stride=2, padding=1), Block(second), Block(second),
            nn.Conv2d(second, third, 3, stride=2, padding=1), Block(third), Block(third),
            nn.GroupNorm(8, third), nn.SiLU(), nn.Conv2d(third, cell, 1), nn.Flatten(),
        )  # fmt: skip
        self.slot = nn.Sequential(nn.Linear(64 * cell, 3 * 192), nn.SiLU())
        self.scene = nn.Sequential(nn.Linear(64 * cell, 192), nn.SiLU())
        self.slot_heads = nn.ModuleDict({name: nn.Linear(192, size) for name, size in SLOT_HEADS.items()})
        self.scene_heads = nn.ModuleDict({name: nn.Linear(192, size) for name, size in SCENE_HEADS.items()})

    def forward(self, images: Tensor) -> Answer:
        """Look at the pictures."""
        seen = self.trunk(images * 2 - 1)
        slots, scene = self.slot(seen).unflatten(1, (3, 192)), self.scene(seen)
        return Answer(
            {name: head(slots).float() for name, head in self.slot_heads.items()},
            {name: head(scene).float() for name, head in self.scene_heads.items()},
            F.normalize(slots[:, ALONE].float(), dim=-1),
        )


@dataclass(frozen=True)
class Labels:
    """Right answers as indices, UNKNOWN where there is none: slots[head] (n, 3), scene[head] (n,)."""

    slots: dict[str, Tensor]
    scene: dict[str, Tensor]


def slot_of(scene: Scene, position: int) -> int:
    """Where thing number `position` of the scene stands."""
    return ALONE if len(scene.things) == 1 else (LEFT, RIGHT)[position]


def labels(specs: list[Scene]) -> Labels:
    """The right answers for the scenes, without what cannot be seen (colours in a black and white photo)."""
    slots = {name: torch.full((len(specs), 3), UNKNOWN) for name in SLOT_HEADS}
    scene = {name: torch.full((len(specs),), UNKNOWN) for name in SCENE_HEADS}
    colours, places, styles = list(COLOURS), list(PLACES), list(STYLES)
    for i, spec in enumerate(specs):
        coloured = spec.style in COLOURED_STYLES
        scene["count"][i] = len(spec.things) - 1
        scene["style"][i] = styles.index(spec.style)
        scene["place"][i] = places.index(spec.place)
        if spec.place_colour and coloured:
            scene["backdrop"][i] = colours.index(spec.place_colour)
        for position, thing in enumerate(spec.things):
            slot = slot_of(spec, position)
            for name, value in _thing_labels(thing, coloured).items():
                slots[name][i, slot] = value
    return Labels(slots, scene)


def _thing_labels(thing: Thing, coloured: bool) -> dict[str, int]:
    found = {
        "kind": KINDS.index(thing.kind),
        "hat": HATS.index(thing.accessory or "none"),
        "sprite": SPRITES.index(thing.sprite) if thing.sprite in SPRITES else UNKNOWN,
    }
    if thing.colour and coloured:
        found["colour"] = list(COLOURS).index(thing.colour)
    return found


def folder(work: Path) -> Path:
    """Where the trained judge lies in the work folder."""
    return work / "judge"


def save_judge(judge: Judge, target: Path, figures: dict[str, float]) -> None:
    """Write the judge and its own accuracy; the weights appear in one move."""
    target.mkdir(parents=True, exist_ok=True)
    partial = target / "judge.partial"
    save_file({name: value.contiguous() for name, value in judge.state_dict().items()}, partial)
    os.replace(partial, target / "judge.safetensors")
    (target / "judge.json").write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")


def load_judge(source: Path, device: torch.device | str = "cpu") -> Judge:
    """Load a trained judge.

    Raises:
        FileNotFoundError: train_classifier has not been run.
    """
    path = source / "judge.safetensors"
    if not path.is_file():
        raise FileNotFoundError(f"No judge at {path}; run `python -m tools.pocket.train_classifier` first.")
    judge = Judge()
    judge.load_state_dict(load_file(path))
    return judge.to(device).eval()
