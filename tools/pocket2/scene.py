"""Descriptions of scenes, drawn at random, and the captions that tell them."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from tools.pocket2.things import ARTS, COLOURS, GENERIC, HATS, OPENINGS, PLACES, STYLES, Kind, kinds

Sprite = tuple[str, str]  # art style, emoji code
EFFECTS = ("pixel", "grey", "sketch")


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

    def sprite(self, rng: np.random.Generator, art: str) -> tuple[int, Sprite]:
        """A random kind of this art style, and its sprite."""
        choice = self.drawable[art]
        number = int(choice[rng.integers(len(choice))])
        return number, (art, self.kinds[number].code)


def draw_variation(rng: np.random.Generator, odds: Odds, world: World, art: str) -> Variation:
    """A random departure: hue turned all the way, stretched, blended with or halved against another."""
    partner, share = None, 0.0
    if rng.random() < odds.partner:
        partner = world.sprite(rng, art)[1]
        share = float(rng.uniform(0.25, 0.75)) if rng.random() < 0.5 else 0.0
    return Variation(
        hue=float(rng.uniform(-np.pi, np.pi)) if rng.random() < odds.hue else 0.0,
        stretch=float(np.exp(rng.uniform(-0.25, 0.25))),
        partner=partner,
        share=share,
    )


def draw_thing(rng: np.random.Generator, odds: Odds, world: World, art: str) -> Thing:
    """One object in this art style."""
    number, sprite = world.sprite(rng, art)
    varied = rng.random() < odds.varied
    hatted = rng.random() < (odds.hat_alive if world.kinds[number].alive else odds.hat_other)
    coloured = not varied and rng.random() < odds.colour
    return Thing(
        kind=number,
        sprite=sprite,
        colour=str(rng.choice(list(COLOURS))) if coloured else None,
        hat=str(rng.choice(list(HATS))) if hatted else None,
        variation=draw_variation(rng, odds, world, art) if varied else None,
    )


def draw_scene(rng: np.random.Generator, odds: Odds, world: World) -> Scene:
    """One scene; a pair has two different kinds."""
    art = str(rng.choice(ARTS, p=odds.arts))
    affected = art == "photo" or odds.effect_any
    share = odds.effect if odds.effect_any else odds.effect / odds.arts[0]
    style = str(rng.choice(EFFECTS)) if affected and rng.random() < share else art
    things = [draw_thing(rng, odds, world, art)]
    if rng.random() < odds.pair:
        second = draw_thing(rng, odds, world, art)
        while second.kind == things[0].kind:
            second = draw_thing(rng, odds, world, art)
        things.append(second)
    plain = rng.random() < odds.plain
    place = "plain" if plain else str(rng.choice([name for name in PLACES if name != "plain"]))
    return Scene(
        things=tuple(things),
        place=place,
        place_colour=str(rng.choice(list(COLOURS))) if plain else None,
        style=style,
        told_place=rng.random() >= odds.untold_place,
    )


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
        article = ("a", "a", "a", "a", "the", "my", "")[rng.integers(7)]
        joint = ("next to", "next to", "and", "beside")[rng.integers(4)]
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
