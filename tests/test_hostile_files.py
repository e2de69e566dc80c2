"""A sweep of mutated photos, recipes and concept files, the same ones each time.

`python -m benchmarks.hostile` does it at any length.
"""

from __future__ import annotations

import pytest

from benchmarks import hostile
from perfusion_core.errors import PerfusionError

SEED, MUTATIONS = 0, 250


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> dict[str, hostile.Counts]:
    with hostile.without_decoders_chatter():
        return hostile.sweep(SEED, MUTATIONS, tmp_path_factory.mktemp("hostile"))


@pytest.mark.parametrize("kind", ["photos", "recipes", "concepts"])
def test_mutated_files_are_sound_or_refused_in_words_and_nothing_else(
    found: dict[str, hostile.Counts], kind: str
) -> None:
    counts = found[kind]
    assert not counts.uncaught
    assert counts.accepted + counts.refused == counts.mutations == MUTATIONS
    assert counts.accepted > 0  # the sweep reaches what lies behind the first check
    assert counts.refused > MUTATIONS // 3


def test_the_sweep_would_tell() -> None:
    def stumble(_: bytes) -> None:
        raise ZeroDivisionError

    def mumble(_: bytes) -> None:
        raise PerfusionError("\x1b[2J")

    counts = hostile.Counts()
    for take in (stumble, mumble, lambda _: None):
        hostile._count(take, b"", counts)
    assert (counts.accepted, counts.refused, counts.uncaught.total()) == (1, 0, 2)
