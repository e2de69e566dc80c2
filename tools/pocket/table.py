"""Scenes as arrays: many are drawn, told and rendered at once, and kept on disk as plain tensors."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields

import numpy as np
import torch
from torch import Tensor

from tools.pocket.scene import Odds, Scene, Thing, Variation, World
from tools.pocket.things import ARTS, COLOURS, HATS, NUMBER, PLACES, SPRITES, STYLES

COLOUR_NAMES, HAT_NAMES = tuple(COLOURS), tuple(HATS)
PLACE_NAMES, STYLE_NAMES = tuple(PLACES), tuple(STYLES)
PLAIN = PLACE_NAMES.index("plain")
EFFECT = len(ARTS)  # the first style that is an effect on an image: those before it are art styles


def _number(names: tuple[str, ...], name: str | None) -> int:
    return -1 if name is None else names.index(name)


def _name(names: tuple[str, ...], number: int) -> str | None:
    return None if number < 0 else names[number]


class Columns:
    """What tables have in common: the same rows of every column, another device, plain data."""

    def __getitem__(self, rows: Tensor | slice | tuple[object, ...]):  # type: ignore[no-untyped-def]
        """These rows of every column."""
        return type(self)(*(getattr(self, field.name)[rows] for field in fields(self)))  # type: ignore[arg-type]

    def to(self, device: torch.device):  # type: ignore[no-untyped-def]
        """The same on a device."""
        return type(self)(*(getattr(self, field.name).to(device) for field in fields(self)))  # type: ignore[arg-type]


@dataclass(frozen=True)
class Things(Columns):
    """Things of any shape, each column alike; numbers are -1 for none.

    kind: in the world's kinds; sprite, partner: in SPRITES; colour, hat: in their names; int64. share, hue
    (radians), stretch: the variation (see scene.Variation), float32.
    """

    kind: Tensor
    sprite: Tensor
    colour: Tensor
    hat: Tensor
    partner: Tensor
    share: Tensor
    hue: Tensor
    stretch: Tensor

    @property
    def varied(self) -> Tensor:
        """Which depart from their sprite, and so have no name."""
        return (self.partner >= 0) | (self.hue != 0) | (self.stretch != 1)

    @classmethod
    def of(cls, things: Sequence[Thing | None]) -> Things:
        """Things (m,) from their descriptions."""
        rows = [_row(thing) for thing in things]
        whole = torch.tensor([row[:5] for row in rows]).view(-1, 5)
        real = torch.tensor([row[5:] for row in rows], dtype=torch.float32).view(-1, 3)
        return cls(*whole.unbind(1), *real.unbind(1))

    def described(self) -> list[Thing]:
        """The descriptions of things (m,)."""
        columns = [getattr(self, field.name).tolist() for field in fields(self)]
        return [_thing(*row) for row in zip(*columns, strict=True)]


NOTHING = (-1, -1, -1, -1, -1, 0.0, 0.0, 1.0)


def _row(thing: Thing | None) -> tuple[float, ...]:
    if thing is None:
        return NOTHING
    varied = thing.variation or Variation()
    return (
        thing.kind, NUMBER.get(thing.sprite, -1), _number(COLOUR_NAMES, thing.colour),
        _number(HAT_NAMES, thing.hat), -1 if varied.partner is None else NUMBER[varied.partner],
        varied.share, varied.hue, varied.stretch,
    )  # fmt: skip


def _thing(
    kind: int, sprite: int, colour: int, hat: int, partner: int, share: float, hue: float, stretch: float
) -> Thing:
    variation = None
    if partner >= 0 or hue != 0 or stretch != 1:
        variation = Variation(hue, stretch, SPRITES[partner] if partner >= 0 else None, share)
    return Thing(kind, SPRITES[sprite], _name(COLOUR_NAMES, colour), _name(HAT_NAMES, hat), variation)


@dataclass(frozen=True)
class Table(Columns):
    """n scenes. things: (n, 2), left and right, the second with sprite -1 where there is one thing alone.

    place, backdrop (colour of a plain place, or -1), style: (n,) numbers; told: (n,) whether captions name
    the place.
    """

    things: Things
    place: Tensor
    backdrop: Tensor
    style: Tensor
    told: Tensor

    def __len__(self) -> int:
        return len(self.place)

    @property
    def pair(self) -> Tensor:
        """Which scenes show two things, (n,)."""
        return self.things.sprite[:, 1] >= 0

    @classmethod
    def of(cls, scenes: Sequence[Scene]) -> Table:
        """The table of some scenes."""
        flat = [thing for scene in scenes for thing in (*scene.things, None)[:2]]
        things = Things.of(flat)
        return cls(
            Things(*(getattr(things, field.name).view(-1, 2) for field in fields(things))),
            torch.tensor([PLACE_NAMES.index(scene.place) for scene in scenes]),
            torch.tensor([_number(COLOUR_NAMES, scene.place_colour) for scene in scenes]),
            torch.tensor([STYLE_NAMES.index(scene.style) for scene in scenes]),
            torch.tensor([scene.told_place for scene in scenes]),
        )

    def scenes(self) -> list[Scene]:
        """The scenes described one by one."""
        left, right = self.things[:, 0].described(), self.things[:, 1].described()
        rows = zip(
            left, right, self.pair.tolist(), self.place.tolist(), self.backdrop.tolist(),
            self.style.tolist(), self.told.tolist(), strict=True,
        )  # fmt: skip
        return [
            Scene(
                (one, other) if pair else (one,),
                PLACE_NAMES[place],
                _name(COLOUR_NAMES, backdrop),
                STYLE_NAMES[style],
                told,
            )
            for one, other, pair, place, backdrop, style, told in rows
        ]

    def plain(self) -> dict[str, Tensor]:
        """Columns by name, to be saved."""
        whole = {field.name: getattr(self.things, field.name) for field in fields(self.things)}
        return {**whole, **{name: getattr(self, name) for name in ("place", "backdrop", "style", "told")}}

    @classmethod
    def from_plain(cls, saved: dict[str, Tensor]) -> Table:
        """The table that `plain` told."""
        things = Things(**{field.name: saved[field.name] for field in fields(Things)})
        return cls(things, *(saved[name] for name in ("place", "backdrop", "style", "told")))


def draw_things(rng: np.random.Generator, odds: Odds, world: World, art: np.ndarray) -> Things:
    """A thing for each art style number in `art` (m,)."""
    m = len(art)
    kind, sprite = world.sprites(rng, art)
    varied = rng.random(m) < odds.varied
    hatted = rng.random(m) < np.where(world.alive[kind], odds.hat_alive, odds.hat_other)
    coloured = ~varied & (rng.random(m) < odds.colour)
    paired = varied & (rng.random(m) < odds.partner)
    partner = np.where(paired, world.sprites(rng, art)[1], -1)
    blended = paired & (rng.random(m) < 0.5)
    turned = varied & (rng.random(m) < odds.hue)
    columns = (
        kind, sprite,
        np.where(coloured, rng.integers(len(COLOURS), size=m), -1),
        np.where(hatted, rng.integers(len(HATS), size=m), -1),
        partner,
        np.where(blended, rng.uniform(0.25, 0.75, m), 0).astype(np.float32),
        np.where(turned, rng.uniform(-np.pi, np.pi, m), 0).astype(np.float32),
        np.where(varied, np.exp(rng.uniform(-0.25, 0.25, m)), 1).astype(np.float32),
    )  # fmt: skip
    return Things(*map(torch.from_numpy, columns))


def draw_table(rng: np.random.Generator, odds: Odds, world: World, n: int) -> Table:
    """n random scenes; a pair has two different kinds of one art style."""
    art = rng.choice(len(ARTS), size=n, p=odds.arts)
    affected = (art == 0) | odds.effect_any
    share = odds.effect if odds.effect_any else odds.effect / odds.arts[0]
    effect = affected & (rng.random(n) < share)
    style = np.where(effect, EFFECT + rng.integers(len(STYLES) - EFFECT, size=n), art)
    first, second = draw_things(rng, odds, world, art), draw_things(rng, odds, world, art)
    while len(again := torch.nonzero(first.kind == second.kind).flatten()):
        other = draw_things(rng, odds, world, art[again.numpy()])
        for field in fields(other):
            getattr(second, field.name)[again] = getattr(other, field.name)
    none = torch.from_numpy(rng.random(n) >= odds.pair)
    for field, nothing in zip(fields(second), NOTHING, strict=True):
        getattr(second, field.name)[none] = nothing  # type: ignore[assignment]
    things = Things(
        *(torch.stack([getattr(first, f.name), getattr(second, f.name)], 1) for f in fields(first))
    )
    plain = rng.random(n) < odds.plain
    place = np.where(plain, PLAIN, rng.integers(len(PLACES) - 1, size=n))  # "plain" is the last place
    backdrop = np.where(plain, rng.integers(len(COLOURS), size=n), -1)
    told = rng.random(n) >= odds.untold_place
    return Table(things, *map(torch.from_numpy, (place, backdrop, style, told)))


def draw_scene(rng: np.random.Generator, odds: Odds, world: World) -> Scene:
    """One random scene."""
    return draw_table(rng, odds, world, 1).scenes()[0]
