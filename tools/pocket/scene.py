"""Structured descriptions of scenes, drawn at random, and the exact captions they are told by."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from tools.pocket.domain import ACCESSORIES, ANIMALS, CLASSES, COLOURS, OPENINGS, PLACES, STYLES


@dataclass(frozen=True)
class Thing:
    """One object: its class word, sprite code, named colour (or its own) and hat (or none)."""

    kind: str
    sprite: str
    colour: str | None = None
    accessory: str | None = None

    def words(self, article: str = "a") -> str:
        """The object as a noun phrase, e.g. "a red dog wearing a top hat"."""
        noun = f"{self.colour} {self.kind}" if self.colour else self.kind
        if article == "a" and noun[0] in "aeiou":
            article = "an"
        phrase = f"{article} {noun}".strip()
        return f"{phrase} wearing a {self.accessory}" if self.accessory else phrase


@dataclass(frozen=True)
class Scene:
    """One or two things (left, right) at a place in a style; `told_place` says if the caption names it."""

    things: tuple[Thing, ...]
    place: str
    place_colour: str | None = None
    style: str = "photo"
    told_place: bool = True

    def place_words(self) -> str:
        """The place as a caption tells it, empty where the caption leaves it open."""
        return PLACES[self.place].format(colour=self.place_colour) if self.told_place else ""


@dataclass(frozen=True)
class Odds:
    """How often each choice is made while drawing scenes (chances in [0, 1])."""

    pair: float = 0.35
    accessory_animal: float = 0.36
    accessory_other: float = 0.20
    accessory_pair: float = 0.18
    colour: float = 0.40
    style: float = 0.16
    plain: float = 0.14
    untold_place: float = 0.10
    several: float = 0.0  # classes are drawn as often as their number of pictures to this power


def draw_thing(rng: np.random.Generator, odds: Odds, kind: str, paired: bool) -> Thing:
    """Draw sprite, colour and hat for one object of class `kind`."""
    sprites = CLASSES[kind]
    worn = (
        odds.accessory_pair if paired else odds.accessory_animal if kind in ANIMALS else odds.accessory_other
    )
    return Thing(
        kind=kind,
        sprite=sprites[rng.integers(len(sprites))],
        colour=str(rng.choice(list(COLOURS))) if rng.random() < odds.colour else None,
        accessory=str(rng.choice(list(ACCESSORIES))) if rng.random() < worn else None,
    )


def _kind_odds(odds: Odds) -> np.ndarray | None:
    if not odds.several:
        return None
    often = np.array([len(sprites) for sprites in CLASSES.values()], float) ** odds.several
    return often / often.sum()


def draw_scene(rng: np.random.Generator, odds: Odds | None = None) -> Scene:
    """Draw one scene; a pair always has two different classes, so that the caption tells them apart."""
    odds = odds or Odds()
    paired = rng.random() < odds.pair
    kinds = rng.choice(list(CLASSES), size=2 if paired else 1, replace=False, p=_kind_odds(odds))
    things = tuple(draw_thing(rng, odds, str(kind), paired) for kind in kinds)
    plain = rng.random() < odds.plain
    place = "plain" if plain else str(rng.choice([name for name in PLACES if name != "plain"]))
    style = (
        str(rng.choice([name for name in STYLES if name != "photo"]))
        if rng.random() < odds.style
        else "photo"
    )
    return Scene(
        things=things,
        place=place,
        place_colour=str(rng.choice(list(COLOURS))) if plain else None,
        style=style,
        told_place=rng.random() >= odds.untold_place,
    )


def caption(scene: Scene, rng: np.random.Generator | None = None) -> str:
    """Tell the scene in words. Without `rng` the plainest wording is used, so it is a fixed function."""
    opening, article, joint = STYLES[scene.style], "a", "next to"
    if rng is not None:
        if scene.style == "photo":
            opening = OPENINGS[rng.integers(len(OPENINGS))]
        article = ("a", "a", "a", "the", "my")[rng.integers(5)]
        joint = ("next to", "next to", "and", "beside")[rng.integers(4)]
    objects = f" {joint} ".join(thing.words(article) for thing in scene.things)
    return " ".join(part for part in (opening, objects, scene.place_words()) if part)


def one_word_changed(scene: Scene, rng: np.random.Generator) -> Scene:
    """A hard negative: the same scene with one told word changed (class, colour, hat, place, style, side)."""
    which = rng.integers(6)
    things = list(scene.things)
    spot = int(rng.integers(len(things)))
    if which == 1 and things[spot].colour:
        things[spot] = replace(things[spot], colour=_other(rng, COLOURS, things[spot].colour))
    elif which == 2 and things[spot].accessory:
        things[spot] = replace(things[spot], accessory=_other(rng, ACCESSORIES, things[spot].accessory))
    elif which == 3 and scene.told_place and scene.place != "plain":
        return replace(scene, place=_other(rng, [p for p in PLACES if p != "plain"], scene.place))
    elif which == 4:
        return replace(scene, style=_other(rng, STYLES, scene.style))
    elif which == 5 and len(things) == 2:
        things = things[::-1]
    else:
        kind = _other(rng, CLASSES, *(thing.kind for thing in things))
        things[spot] = replace(things[spot], kind=kind, sprite=CLASSES[kind][0])
    return replace(scene, things=tuple(things))


def _other(rng: np.random.Generator, names: object, *taken: str) -> str:
    return str(rng.choice([name for name in names if name not in taken]))  # type: ignore[attr-defined]
