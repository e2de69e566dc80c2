"""Turn the judge's answers into verdicts on prompts: was what the caption asked for drawn?"""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor

from tools.pocket.domain import COLOURS, PLACES, STYLES
from tools.pocket.judge import ALONE, COLOURED_STYLES, HATS, KINDS, LEFT, RIGHT, Answer, Judge, slot_of
from tools.pocket.scene import Scene

# Question -> what it asks, in the order of the table.
QUESTIONS = {
    "object": "the one object is of the right class",
    "both": "both of two objects are there (either way round)",
    "sides": "both of two objects are there, on their own sides",
    "background": "the named place, or plain backdrop of the named colour",
    "colour": "the named colour of an object (photo and pixel art)",
    "accessory": "the named hat is worn",
    "bare": "no hat where none is asked for",
    "style": "style words: pixel art, black and white, pencil sketch",
}


@dataclass
class Verdicts:
    """Right and wrong, question by question, with what was asked, so that poor classes can be listed."""

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
    """The judge's answers for pictures (n, 3, 128, 128) in [0, 1]."""
    parts = [judge(chunk) for chunk in images.split(batch)]
    return Answer(
        {name: torch.cat([part.slots[name] for part in parts]) for name in parts[0].slots},
        {name: torch.cat([part.scene[name] for part in parts]) for name in parts[0].scene},
        torch.cat([part.embedding for part in parts]),
    )


def decide(answer: Answer, specs: list[Scene], into: Verdicts | None = None) -> Verdicts:
    """Compare answers with what each scene asked for."""
    verdicts = into or Verdicts()
    for i, spec in enumerate(specs):
        _objects(answer, i, spec, verdicts)
        _surroundings(answer, i, spec, verdicts)
    return verdicts


def _said(logits: Tensor, names: tuple[str, ...] | list[str]) -> str:
    return names[int(logits.argmax())]


def _objects(answer: Answer, i: int, spec: Scene, verdicts: Verdicts) -> None:
    kinds = [_said(answer.slots["kind"][i, slot], KINDS) for slot in (ALONE, LEFT, RIGHT)]
    asked = [thing.kind for thing in spec.things]
    if len(asked) == 1:
        verdicts.add("object", asked[0], kinds[ALONE] == asked[0])
    else:
        two = int(answer.scene["count"][i].argmax()) == 1
        name = " + ".join(asked)
        verdicts.add("both", name, two and sorted(kinds[1:]) == sorted(asked))
        verdicts.add("sides", name, two and kinds[1:] == asked)
    for position, thing in enumerate(spec.things):
        slot = slot_of(spec, position)
        if thing.colour and spec.style in COLOURED_STYLES:
            said = _said(answer.slots["colour"][i, slot], list(COLOURS))
            verdicts.add("colour", thing.colour, said == thing.colour)
        hat = _said(answer.slots["hat"][i, slot], HATS)
        if thing.accessory:
            verdicts.add("accessory", thing.accessory, hat == thing.accessory)
        else:
            verdicts.add("bare", thing.kind, hat == "none")


def _surroundings(answer: Answer, i: int, spec: Scene, verdicts: Verdicts) -> None:
    if spec.told_place and spec.style != "sketch":  # a sketch has hardly any background
        right = _said(answer.scene["place"][i], list(PLACES)) == spec.place
        if spec.place_colour and spec.style in COLOURED_STYLES:
            right = right and _said(answer.scene["backdrop"][i], list(COLOURS)) == spec.place_colour
        verdicts.add("background", spec.place, right)
    if spec.style != "photo":
        verdicts.add("style", spec.style, _said(answer.scene["style"][i], list(STYLES)) == spec.style)
