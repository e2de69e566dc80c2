"""Descriptions of scenes, how often what is drawn, and the captions that tell them."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from tools.pocket.things import ARTS, GENERIC, NUMBER, OPENINGS, PLACES, STYLES, Kind, kinds

Sprite = tuple[str, str]  # art style, emoji code
EFFECTS = ("pixel", "grey", "sketch")
# What a caption says, as often as it is listed; the first is the usual one.
ARTICLES = ("a", "a", "a", "a", "the", "my", "")
JOINTS = ("next to", "next to", "and", "beside")


@dataclass(frozen=True)
class Variation:
    """How a thing departs from its plain sprite: such looks have no name, only a code.

    hue: turn in radians. stretch: width over height. partner: another sprite, either blended in by `share`
    or, with `share` of 0, put in place of the lower half.
    """

    hue: float = 0.0
    stretch: float = 1.0
    partner: Sprite | None = None
    share: float = 0.0


@dataclass(frozen=True)
class Thing:
    """One object: its kind's number, its sprite, named colour and hat (or none), and its variation if any."""

    kind: int
    sprite: Sprite
    colour: str | None = None
    hat: str | None = None
    variation: Variation | None = None


@dataclass(frozen=True)
class Scene:
    """One or two things (left, right) at a place in a style."""

    things: tuple[Thing, ...]
    place: str
    place_colour: str | None = None
    style: str = "photo"
    told_place: bool = True


@dataclass(frozen=True)
class Odds:
    """How often each choice is made while drawing scenes (chances in [0, 1])."""

    pair: float = 0.25
    hat_alive: float = 0.30
    hat_other: float = 0.18
    colour: float = 0.25
    plain: float = 0.25
    untold_place: float = 0.08
    effect: float = 0.10  # pixel art, black and white, pencil sketch
    effect_any: bool = False  # on every art style, not on "photo" alone: words do not name those
    arts: tuple[float, ...] = (0.5, 0.25, 0.25)
    varied: float = 0.40  # things that depart from their sprite: drawn from their code alone
    hue: float = 0.6
    partner: float = 0.35


@dataclass(frozen=True)
class World:
    """What may be drawn: for each art style the numbers of the kinds it has."""

    drawable: dict[str, tuple[int, ...]]
    kinds: tuple[Kind, ...] = field(default_factory=kinds)

    @cached_property
    def alive(self) -> np.ndarray:
        """Which kinds are animals or figures, (kinds,)."""
        return np.array([kind.alive for kind in self.kinds])

    @cached_property
    def _choices(self) -> tuple[np.ndarray, np.ndarray]:
        """For each art style its kinds, padded, and how many there are."""
        counts = np.array([len(self.drawable[art]) for art in ARTS])
        padded = np.zeros((len(ARTS), counts.max()), int)
        for row, art in enumerate(ARTS):
            padded[row, : counts[row]] = self.drawable[art]
        return padded, counts

    @cached_property
    def _sprites(self) -> np.ndarray:
        """Numbers in SPRITES by art style and kind, (arts, kinds)."""
        return np.array([[NUMBER[art, kind.code] for kind in self.kinds] for art in ARTS])

    def sprites(self, rng: np.random.Generator, art: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Random kinds, (m,), of the art style numbers `art` (m,), and their numbers in SPRITES."""
        padded, counts = self._choices
        kind = padded[art, rng.integers(counts[art])]
        return kind, self._sprites[art, kind]

    def sprite(self, rng: np.random.Generator, art: str) -> tuple[int, Sprite]:
        """A random kind of this art style, and its sprite."""
        choice = self.drawable[art]
        number = int(choice[rng.integers(len(choice))])
        return number, (art, self.kinds[number].code)


@dataclass(frozen=True)
class Caption:
    """Words of a caption, and for each thing the index of its name's last word."""

    words: tuple[str, ...]
    nouns: tuple[int, ...]

    def __str__(self) -> str:
        return " ".join(self.words)


def caption(
    scene: Scene, rng: np.random.Generator | None = None, names: tuple[str, ...] | None = None
) -> Caption:
    """Tell the scene. Without `rng` the plainest wording is used. `names` replace the things' own names."""
    opening, article, joint = STYLES[scene.style], "a", "next to"
    if rng is not None:
        if scene.style == "photo":
            opening = OPENINGS[rng.integers(len(OPENINGS))]
        article = ARTICLES[rng.integers(len(ARTICLES))]
        joint = JOINTS[rng.integers(len(JOINTS))]
    words, nouns = opening.split(), []
    for slot, thing in enumerate(scene.things):
        words += joint.split() if slot else []
        name = names[slot] if names else kinds()[thing.kind].name
        phrase = [thing.colour, *name.split()] if thing.colour else name.split()
        a = "an" if article == "a" and phrase[0][0] in "aeiou" else article
        words += [a, *phrase] if a else phrase
        nouns.append(len(words) - 1)
        words += f"wearing a {thing.hat}".split() if thing.hat else []
    if scene.told_place:
        words += PLACES[scene.place].format(colour=scene.place_colour).split()
    return Caption(tuple(words), tuple(nouns))


def stand_in(rng: np.random.Generator, number: int, world: World) -> str:
    """A word for a thing that is drawn from its code: its own, one of its group's, or "thing"."""
    kind, chance = world.kinds[number], rng.random()
    if chance < 0.35:
        return kind.name
    if chance < 0.80:
        group = [other.name for other in world.kinds if other.group == kind.group]
        return group[rng.integers(len(group))]
    if chance < 0.92:
        return world.kinds[rng.integers(len(world.kinds))].name
    return GENERIC[rng.integers(len(GENERIC))]
