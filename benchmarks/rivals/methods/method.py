"""What a method of teaching a base one thing has to offer, so that all can be compared in the same way."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from safetensors.torch import load_file, save_file
from torch import Tensor

if TYPE_CHECKING:
    from benchmarks.rivals.bench import Bench
    from benchmarks.rivals.subject import Subject

Settings = Mapping[str, Any]
"""Of one teaching: "steps", "rate" and what else a method's `defaults` have."""


@dataclass(frozen=True)
class Point:
    """An operating point: a place on the method's knob. value: a gate bias, a scale, a share of steps."""

    label: str
    value: float


@dataclass
class Costs:
    """Seconds of a teaching beside its steps, of a step (as `settings` count them), and of a class image."""

    fixed: float
    step: float
    image: float = 0.0


class Writer:
    """Where a teaching keeps what it has learned: snapshots, each one file, and the facts about it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._count = 0

    def keep(self, tensors: Mapping[str, Tensor] | bytes) -> None:
        """Keep the next snapshot, as tensors or as the bytes of the method's own file."""
        path = self.folder / f"snapshot-{self._count:02d}.safetensors"
        if isinstance(tensors, bytes):
            path.write_bytes(tensors)
        else:
            save_file({name: t.detach().cpu().contiguous() for name, t in tensors.items()}, path)
        self._count += 1

    def close(
        self,
        subjects: Sequence[Subject],
        settings: Settings,
        costs: Costs,
        seconds: float,
        failed: str = "",
    ) -> None:
        """Write the facts that belong to the snapshots."""
        facts = {
            "names": [subject.name for subject in subjects],
            "superclasses": [subject.superclass for subject in subjects],
            "identifiers": [subject.identifier for subject in subjects],
            "settings": dict(settings),
            "costs": vars(costs),
            "seconds": seconds,
            "failed": failed,
        }
        (self.folder / "learned.json").write_text(json.dumps(facts, indent=1), encoding="utf-8")


@dataclass(frozen=True)
class Learned:
    """What a teaching left behind, read from its folder."""

    folder: Path
    names: tuple[str, ...]
    superclasses: tuple[str, ...]
    identifiers: tuple[str, ...]
    settings: dict[str, Any]
    costs: Costs
    seconds: float
    failed: str = ""
    files: tuple[Path, ...] = field(default=())

    @classmethod
    def read(cls, folder: Path) -> Learned:
        """Raises FileNotFoundError where no teaching was finished."""
        facts = json.loads((folder / "learned.json").read_text(encoding="utf-8"))
        return cls(
            folder,
            *(tuple(facts[name]) for name in ("names", "superclasses", "identifiers")),
            facts["settings"],
            Costs(**facts["costs"]),
            facts["seconds"],
            facts.get("failed", ""),
            tuple(sorted(folder.glob("snapshot-*.safetensors"))),
        )

    def snapshot(self, share: float) -> Path:
        """The file of the snapshot after that share of the steps, in (0, 1]."""
        return self.files[max(0, round(share * len(self.files)) - 1)]

    def tensors(self, share: float = 1.0) -> dict[str, Tensor]:
        """The tensors of that snapshot."""
        return load_file(self.snapshot(share))


class Method(Protocol):
    """A way to teach a base one thing.

    name: for the command line; teacher: whose teachings it draws from (two methods may share them); knob:
    what its operating points vary; source: where its settings come from. pairs: how two concepts are drawn
    together, "stack" when each was taught alone, "joint" when both in one teaching, "" when they cannot be.
    defaults: its authors' settings; rates: what the tuning multiplies its rates by.
    """

    name: str
    title: str
    teacher: str
    knob: str
    source: str
    pairs: str
    ours: bool
    defaults: Settings
    rates: tuple[float, ...]

    def settings(self, bench: Bench) -> dict[str, Any]:
        """Its own settings on this base."""
        ...

    def teach(
        self, bench: Bench, subjects: Sequence[Subject], settings: Settings, seed: int, writer: Writer
    ) -> Costs:
        """Learn from the subjects' photos and keep snapshots along the way. The base is as before."""
        ...

    def points(self, count: int) -> tuple[Point, ...]:
        """`count` operating points, from the one that follows the prompt most."""
        ...

    def applied(
        self, bench: Bench, learned: Sequence[Learned], point: Point
    ) -> AbstractContextManager[list[str]]:
        """The base with what was learned, and the words that stand for each subject in a prompt.

        Afterwards the base is bit for bit as before.
        """
        ...

    def size(self, learned: Learned) -> int:
        """Bytes of the file that a person would keep or send."""
        ...


def evenly(count: int, low: float, high: float) -> tuple[float, ...]:
    """`count` numbers from low to high, rounded as they are shown; the high one alone for a count of 1."""
    if count == 1:
        return (high,)
    return tuple(round(low + (high - low) * k / (count - 1), 4) for k in range(count))


def checkpoints(count: int) -> tuple[Point, ...]:
    """Operating points of a method whose knob is when to stop: shares of its steps."""
    return tuple(Point(f"{(k + 1) / count:.0%} of the steps", (k + 1) / count) for k in range(count))
