"""The judge: a network that says which thing an image shows, what it wears, where, in what style.

It is never shipped, shares nothing with the base, and knows every thing in every art style, the held-out
ones too: it only judges. Each thing has a proxy, a unit vector; an image's embedding is trained to lie
nearest to the proxy of what it shows (normalised softmax, Zhai and Wu 2019). "Nothing recognisable" has a
proxy of its own, so that a heap of the right colour counts as one.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.nn import functional as F

from tools.pocket.scene import Scene
from tools.pocket.things import COLOURS, HATS, NUMBER, PLACES, SPRITES, STYLES

ALONE, LEFT, RIGHT = range(3)
UNKNOWN = -100
HAT_NAMES = ("none", *HATS)
NOTHING = len(SPRITES)
SCENE_HEADS = {"count": 2, "place": len(PLACES), "backdrop": len(COLOURS), "style": len(STYLES)}
WIDTH = 192
SCALE = 16.0


@dataclass(frozen=True)
class Answer:
    """What the judge sees.

    embeddings: (n, 3, 192), unit vectors for a thing alone, left, right; similarity: (n, 3, things + 1),
    cosines to all proxies, "nothing" last; slots[head] (n, 3, choices) and scene[head] (n, choices): logits.
    """

    embeddings: Tensor
    similarity: Tensor
    slots: dict[str, Tensor]
    scene: dict[str, Tensor]


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
    """Images (n, 3, 128, 128) in [0, 1] -> Answer."""

    def __init__(self, widths: tuple[int, int, int] = (48, 96, 192), cell: int = 48) -> None:
        """`cell` numbers are kept of each of the 8x8 cells: where something is seen is not pooled away."""
        super().__init__()
        first, second, third = widths
        self.trunk = nn.Sequential(
            nn.Conv2d(3, first, 6, stride=4, padding=1), Block(first),
            nn.Conv2d(first, second, 3, stride=2, padding=1), Block(second), Block(second),
            nn.Conv2d(second, third, 3, stride=2, padding=1), Block(third), Block(third),
            nn.GroupNorm(8, third), nn.SiLU(), nn.Conv2d(third, cell, 1), nn.Flatten(),
        )  # fmt: skip
        self.slot = nn.Linear(64 * cell, 3 * WIDTH)
        self.scene = nn.Sequential(nn.Linear(64 * cell, WIDTH), nn.SiLU())
        self.proxies = nn.Parameter(torch.randn(NOTHING + 1, WIDTH) * WIDTH**-0.5)
        self.slot_heads = nn.ModuleDict(
            {"hat": nn.Linear(WIDTH, len(HAT_NAMES)), "colour": nn.Linear(WIDTH, len(COLOURS))}
        )
        self.scene_heads = nn.ModuleDict({name: nn.Linear(WIDTH, size) for name, size in SCENE_HEADS.items()})

    def forward(self, images: Tensor) -> Answer:
        """Look at the images."""
        seen = self.trunk(images * 2 - 1)
        slots, scene = self.slot(seen).unflatten(1, (3, WIDTH)), self.scene(seen)
        embeddings = F.normalize(slots.float(), dim=-1)
        return Answer(
            embeddings,
            embeddings @ F.normalize(self.proxies.float(), dim=-1).T,
            {name: head(F.silu(slots)).float() for name, head in self.slot_heads.items()},
            {name: head(scene).float() for name, head in self.scene_heads.items()},
        )


def slot_of(scene: Scene, position: int) -> int:
    """Where thing number `position` of the scene stands."""
    return ALONE if len(scene.things) == 1 else (LEFT, RIGHT)[position]


@dataclass(frozen=True)
class Labels:
    """Right answers, UNKNOWN where there is none: things and slots[head] (n, 3), scene[head] (n,)."""

    things: Tensor
    slots: dict[str, Tensor]
    scene: dict[str, Tensor]

    def to(self, device: torch.device) -> Labels:
        """The same on a device."""
        slots, scene = (
            {name: value.to(device) for name, value in heads.items()} for heads in (self.slots, self.scene)
        )
        return Labels(self.things.to(device), slots, scene)


def labels(scenes: list[Scene]) -> Labels:
    """The right answers for scenes of plain or coloured things."""
    n = len(scenes)
    things = torch.full((n, 3), UNKNOWN)
    slots = {name: torch.full((n, 3), UNKNOWN) for name in ("hat", "colour")}
    heads = {name: torch.full((n,), UNKNOWN) for name in SCENE_HEADS}
    colours = list(COLOURS)
    for i, scene in enumerate(scenes):
        seen = scene.style not in ("grey", "sketch")
        heads["count"][i] = len(scene.things) - 1
        heads["style"][i] = list(STYLES).index(scene.style)
        heads["place"][i] = list(PLACES).index(scene.place)
        if scene.place_colour and seen:
            heads["backdrop"][i] = colours.index(scene.place_colour)
        for position, thing in enumerate(scene.things):
            slot = slot_of(scene, position)
            things[i, slot] = NUMBER[thing.sprite]
            slots["hat"][i, slot] = HAT_NAMES.index(thing.hat or "none")
            if thing.colour and seen:
                slots["colour"][i, slot] = colours.index(thing.colour)
    return Labels(things, slots, heads)


def save_judge(judge: Judge, work: Path) -> None:
    """Write the judge's weights in one move."""
    folder = work / "judge"
    folder.mkdir(parents=True, exist_ok=True)
    save_file({name: value.contiguous() for name, value in judge.state_dict().items()}, folder / "partial")
    os.replace(folder / "partial", folder / "judge.safetensors")


def load_judge(work: Path, device: torch.device | str = "cpu") -> Judge:
    """The trained judge.

    Raises:
        FileNotFoundError: train_judge has not been run.
    """
    path = work / "judge" / "judge.safetensors"
    if not path.is_file():
        raise FileNotFoundError(f"No judge at {path}; run `python -m tools.pocket.train_judge` first.")
    judge = Judge()
    judge.load_state_dict(load_file(path))
    return judge.to(device).eval()
