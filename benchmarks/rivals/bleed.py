"""Bleed: whether two things in one image each look like themselves, or run into each other.

An image shows A on one side and B on the other, in either order. Each side is compared with what A and with
what B looks like (held-out photos; for the plain word of a kind, the base's own images of it), and the order
that fits both best is taken. An image is kept apart when each side is then nearer to its own than to the
other; bleed is the share of images that are not. The margin is own similarity less the other's.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

SAME, DIFFERENT, PLAIN = (
    "two of the same kind",
    "two of different kinds",
    "one beside the plain word of its kind",
)
KINDS = (SAME, DIFFERENT, PLAIN)


@dataclass(frozen=True)
class Bleed:
    """Of some images, one after the other. Shape: bled (n,), 1 where not kept apart, else 0; margin (n,)."""

    bled: list[float]
    margin: list[float]


def bleed(sides: Tensor, references: Tensor) -> Bleed:
    """How far two things bleed into each other.

    Shape: sides (n, 2, F), left and right; references (2, F), A and B; unit vectors.
    """
    similar = sides @ references.T  # (n, side, thing)
    straight = similar[:, 0, 0] + similar[:, 1, 1]
    crossed = similar[:, 0, 1] + similar[:, 1, 0]
    similar = torch.where(
        (crossed > straight)[:, None, None], similar.flip(1), similar
    )  # side k shows thing k
    own = torch.stack([similar[:, 0, 0], similar[:, 1, 1]], dim=1)
    other = torch.stack([similar[:, 0, 1], similar[:, 1, 0]], dim=1)
    margin = own - other  # (n, 2)
    return Bleed((~(margin > 0).all(dim=1)).float().tolist(), margin.mean(dim=1).tolist())


def pairs_of(kinds: Sequence[tuple[str, str]], limit: int) -> dict[str, list[tuple[str, str]]]:
    """At most `limit` pairs of names of the same kind and of different kinds, neighbours in order.

    `kinds` has (name, superclass) of each concept. A kind of pair that does not occur is an empty list.
    """
    every = [(a, b) for k, a in enumerate(kinds) for b in kinds[k + 1 :]]
    same = [(a[0], b[0]) for a, b in every if a[1] == b[1]]
    apart = [
        (a[0], b[0])
        for a, b in zip(kinds, (*kinds[1:], *kinds[:1]), strict=True)
        if a[1] != b[1] and len(kinds) > 1
    ]
    distinct: dict[frozenset[str], tuple[str, str]] = {}
    for pair in apart:
        distinct.setdefault(frozenset(pair), pair)
    return {SAME: same[:limit], DIFFERENT: list(distinct.values())[:limit]}
