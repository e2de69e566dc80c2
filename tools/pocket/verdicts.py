"""Turn the judge's answers into verdicts on prompts: was what the caption asked for drawn?"""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor

from tools.pocket.judge import ALONE, HAT_NAMES, LEFT, NOTHING, RIGHT, Answer, Judge, slot_of
from tools.pocket.scene import Scene, World
from tools.pocket.things import COLOURS, PLACES, SPRITES, STYLES

UNCOLOURED = ("grey", "sketch")  # styles in which a named colour cannot be seen
# Question -> what it asks, in the order of the table.
QUESTIONS = {
    "object": "the one object is the thing asked for, of all things in any art style",
    "both": "both of two objects are there (either way round)",
    "sides": "both of two objects are there, on their own sides",
    "place": "the named place, or plain backdrop of the named colour",
    "colour": "the named colour of an object",
    "hat": "the named hat is worn",
    "bare": "no hat where none is asked for",
    "style": "style words: cartoon, sticker, pixel art, black and white, pencil sketch",
}


@dataclass
class Verdicts:
    """Right and wrong, question by question, with what was asked, so that poor kinds can be listed."""

    found: dict[str, list[tuple[str, bool]]] = field(default_factory=lambda: {name: [] for name in QUESTIONS})

    def add(self, question: str, asked: str, right: bool) -> None:
        """Note one verdict."""
        self.found[question].append((asked, right))

    def share(self, question: str) -> float:
        """Share of right ones, NaN where nothing was asked."""
        rows = self.found[question]
        return sum(right for _, right in rows) / len(rows) if rows else float("nan")

    def by_asked(self, question: str) -> dict[str, tuple[int, int]]:
        """What was asked -> (right, all), poorest first."""
        counts: dict[str, tuple[int, int]] = {}
        for asked, right in self.found[question]:
            good, total = counts.get(asked, (0, 0))
            counts[asked] = (good + right, total + 1)
        return dict(sorted(counts.items(), key=lambda item: item[1][0] / item[1][1]))


@torch.no_grad()
def look(judge: Judge, images: Tensor, batch: int = 64) -> Answer:
    """The judge's answers for images (n, 3, 128, 128) in [0, 1]."""
    parts = [judge(chunk) for chunk in images.split(batch)]
    return Answer(
        torch.cat([part.embeddings for part in parts]),
        torch.cat([part.similarity for part in parts]),
        {name: torch.cat([part.slots[name] for part in parts]) for name in parts[0].slots},
        {name: torch.cat([part.scene[name] for part in parts]) for name in parts[0].scene},
    )


def decide(answer: Answer, scenes: list[Scene], world: World) -> Verdicts:
    """Compare answers with what each scene asked for; `world` numbers the kinds."""
    verdicts = Verdicts()
    for i, scene in enumerate(scenes):
        _objects(answer, i, scene, world, verdicts)
        _surroundings(answer, i, scene, verdicts)
    return verdicts


def _code(similarity: Tensor) -> str | None:
    """The emoji code of what is nearest, None for nothing recognisable."""
    nearest = int(similarity.argmax())
    return None if nearest == NOTHING else SPRITES[nearest][1]


def _said(logits: Tensor, names: tuple[str, ...] | list[str]) -> str:
    return names[int(logits.argmax())]


def _objects(answer: Answer, i: int, scene: Scene, world: World, verdicts: Verdicts) -> None:
    codes = [_code(answer.similarity[i, slot]) for slot in (ALONE, LEFT, RIGHT)]
    asked = [world.kinds[thing.kind] for thing in scene.things]
    if len(asked) == 1:
        verdicts.add("object", asked[0].name, codes[ALONE] == asked[0].code)
    else:
        two = int(answer.scene["count"][i].argmax()) == 1
        name, right = " + ".join(kind.name for kind in asked), [kind.code for kind in asked]
        verdicts.add("both", name, two and set(codes[1:]) == set(right))
        verdicts.add("sides", name, two and codes[1:] == right)
    for position, thing in enumerate(scene.things):
        slot = slot_of(scene, position)
        if thing.colour and scene.style not in UNCOLOURED:
            said = _said(answer.slots["colour"][i, slot], list(COLOURS))
            verdicts.add("colour", thing.colour, said == thing.colour)
        hat = _said(answer.slots["hat"][i, slot], HAT_NAMES)
        if thing.hat:
            verdicts.add("hat", thing.hat, hat == thing.hat)
        else:
            verdicts.add("bare", asked[position].name, hat == "none")


def _surroundings(answer: Answer, i: int, scene: Scene, verdicts: Verdicts) -> None:
    if scene.told_place and scene.style != "sketch":  # a sketch has hardly any background
        right = _said(answer.scene["place"][i], list(PLACES)) == scene.place
        if scene.place_colour and scene.style not in UNCOLOURED:
            right = right and _said(answer.scene["backdrop"][i], list(COLOURS)) == scene.place_colour
        verdicts.add("place", scene.place, right)
    if scene.style != "photo":
        said = _said(answer.scene["style"][i], list(STYLES))
        verdicts.add("style", scene.style, said == scene.style)
