"""Many captions at once, as token ids: the wording of scene.caption, put together from pieces on arrays."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from transformers import CLIPTokenizer

from tools.pocket.scene import ARTICLES, JOINTS, World
from tools.pocket.table import COLOUR_NAMES, EFFECT, HAT_NAMES, PLACE_NAMES, PLAIN, STYLE_NAMES, Table
from tools.pocket.text import MAX_TOKENS, Encoder
from tools.pocket.things import GENERIC, OPENINGS, PLACES, STYLES, all_kinds


@dataclass(frozen=True)
class Told:
    """Captions: ids (n, 32), padded with the end token; nouns (n, 2), where names end, -1 for none.

    coded: (n,) whether the things are drawn from their codes, and so go by some word of their group.
    """

    ids: Tensor
    nouns: Tensor
    coded: Tensor


class Teller:
    """Tells tables of scenes in varied wordings."""

    def __init__(self, tokenizer: CLIPTokenizer, world: World) -> None:
        self.encode, self.world = Encoder(tokenizer), world
        self._pieces: list[list[int]] = [[]]  # piece 0 says nothing
        self._numbers: dict[str, int] = {"": 0}
        self.names = self._many([kind.name for kind in world.kinds])
        self.generic = self._many(GENERIC)
        self.colours = self._many(COLOUR_NAMES)
        self.hats = self._many([f"wearing a {hat}" for hat in HAT_NAMES])
        self.styles = self._many([STYLES[style] for style in STYLE_NAMES])
        self.openings, self.joints = self._many(OPENINGS), self._many(JOINTS)
        self.articles, self.an = self._many(ARTICLES), self._piece("an")
        plain = self._many([PLACES["plain"].format(colour=colour) for colour in COLOUR_NAMES])
        self.places = np.stack([plain if p == PLAIN else np.full_like(plain, self._piece(PLACES[name]))
                                for p, name in enumerate(PLACE_NAMES)])  # fmt: skip
        texts = {number: text for text, number in self._numbers.items()}
        self._vowel = np.array([texts[number][:1] in tuple("aeiou") for number in range(len(texts))])
        lengths = [len(piece) for piece in self._pieces]
        self._lengths, self._tokens = np.array(lengths), np.zeros((len(lengths), max(lengths)), int)
        for row, piece in enumerate(self._pieces):
            self._tokens[row, : len(piece)] = piece
        groups: dict[str, list[int]] = {}
        for number, kind in enumerate(world.kinds):
            groups.setdefault(kind.group, []).append(number)
        members = [groups[kind.group] for kind in world.kinds]
        self._group_sizes = np.array([len(group) for group in members])
        self._groups = np.zeros((len(members), self._group_sizes.max()), int)
        for row, group in enumerate(members):
            self._groups[row, : len(group)] = group

    def _piece(self, text: str) -> int:
        if text not in self._numbers:
            self._numbers[text] = len(self._pieces)
            self._pieces.append([token for word in text.split() for token in self.encode.word(word)])
        return self._numbers[text]

    def _many(self, texts: tuple[str, ...] | list[str]) -> np.ndarray:
        return np.array([self._piece(text) for text in texts])

    def stand_ins(self, rng: np.random.Generator, kind: np.ndarray) -> np.ndarray:
        """Pieces that name things drawn from their codes, as scene.stand_in does: (m,) for kinds (m,)."""
        m, chance = len(kind), rng.random(len(kind))
        group = self._groups[kind, rng.integers(self._group_sizes[kind])]
        word = np.where(
            chance < 0.35, kind, np.where(chance < 0.80, group, rng.integers(len(self.names), size=m))
        )
        return np.where(chance < 0.92, self.names[word], rng.choice(self.generic, size=m))

    def __call__(self, table: Table, rng: np.random.Generator, coded: float = 0.0) -> Told:
        """Tell scenes; a share of the plain ones, and all that have no name, are drawn from their codes.

        A coded draw names no colour, and opens with a plain word half of the time.
        """
        n, things = len(table), table.things
        kind, style = things.kind.numpy(), table.style.numpy()
        art = things.sprite[:, 0].numpy() // len(all_kinds())  # SPRITES goes style by style
        unnamed = things.varied.any(1).numpy() | ((style >= EFFECT) & (art != 0))
        by_code = unnamed | (rng.random(n) < coded)
        hidden = by_code & (style > 0) & (style < EFFECT) & (rng.random(n) < 0.5)
        style = np.where(hidden, 0, style)
        names = self.names[kind]
        for slot in (0, 1):
            names[:, slot] = np.where(by_code, self.stand_ins(rng, kind[:, slot]), names[:, slot])
        colour = np.where(by_code[:, None], -1, things.colour.numpy())
        opening = np.where(style == 0, rng.choice(self.openings, size=n), self.styles[style])
        article, joint = rng.choice(self.articles, size=n), rng.choice(self.joints, size=n)
        ids, nouns = self._put_together(table, names, colour, opening, article, joint)
        return Told(torch.from_numpy(ids), torch.from_numpy(nouns), torch.from_numpy(by_code))

    def plain(self, table: Table) -> Told:
        """Tell scenes by their own names in the plainest wording."""
        n, things = len(table), table.things
        opening = self.styles[table.style.numpy()]
        article, joint = (np.full(n, self._numbers[text]) for text in ("a", "next to"))
        names = self.names[things.kind.numpy()]
        ids, nouns = self._put_together(table, names, things.colour.numpy(), opening, article, joint)
        return Told(torch.from_numpy(ids), torch.from_numpy(nouns), torch.zeros(n, dtype=torch.bool))

    def _put_together(
        self,
        table: Table,
        names: np.ndarray,
        colour: np.ndarray,
        opening: np.ndarray,
        article: np.ndarray,
        joint: np.ndarray,
    ) -> tuple[np.ndarray, np.ndarray]:
        """Ids (n, 32) and nouns (n, 2) from pieces: opening, then each thing, then the place."""
        n, pair, hat = len(table), table.pair.numpy(), table.things.hat.numpy()
        columns, name_columns = [opening], []
        for slot in (0, 1):
            there = pair if slot else np.ones(n, bool)
            shade = np.where(colour[:, slot] >= 0, self.colours[colour[:, slot]], 0)
            first = np.where(shade > 0, shade, names[:, slot])
            begins = np.where((article == self._numbers["a"]) & self._vowel[first], self.an, article)
            worn = np.where(hat[:, slot] >= 0, self.hats[hat[:, slot]], 0)
            parts = [joint] if slot else []
            parts += [begins, shade, names[:, slot], worn]
            columns += [np.where(there, part, 0) for part in parts]
            name_columns.append(len(columns) - 2)
        place = self.places[table.place.numpy(), table.backdrop.numpy()]
        columns.append(np.where(table.told.numpy(), place, 0))
        pieces = np.stack(columns, 1)
        lengths = self._lengths[pieces]
        ends = 1 + np.cumsum(lengths, 1)
        ids = np.full((n, MAX_TOKENS), self.encode.end)
        ids[:, 0] = self.encode.start
        row, column, token = np.nonzero(np.arange(self._tokens.shape[1]) < lengths[..., None])
        where = ends[row, column] - lengths[row, column] + token
        fits = where < MAX_TOKENS - 1
        ids[row[fits], where[fits]] = self._tokens[pieces[row, column], token][fits]
        nouns = np.stack([ends[:, at] - 1 for at in name_columns], 1)
        nouns[:, 1] = np.where(pair, nouns[:, 1], -1)
        return ids, np.where(nouns < MAX_TOKENS - 1, nouns, -1)
