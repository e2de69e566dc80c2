"""A disk that refuses one call, at every place where one is made: what is lost, and does the program go on?

`sweep` counts the calls of a scenario that reach the disk (opening for writing, writing, syncing, renaming,
making a folder), then runs it once for each of them, with that one call failing: no space, an input/output
error and a read-only file system, by turns. A scenario checks for itself that whatever was acknowledged is
still there and that what was refused works at the next try.
"""

from __future__ import annotations

import errno
import itertools
import os
import re
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from unittest import mock

from PIL import Image

from perfusion_core.concept import Concept, save_concept
from perfusion_core.errors import PerfusionError
from perfusion_core.studio.jobs import worker as jobs_worker
from perfusion_core.studio.jobs.store import JobStore
from perfusion_core.studio.jobs.worker import JobContext, Worker
from perfusion_core.studio.library.entry import scan
from perfusion_core.studio.library.import_many import import_many
from perfusion_core.studio.library.library import Library
from perfusion_core.studio.settings import Preferences, prefer, read_preferences

ERRORS = (errno.ENOSPC, errno.EIO, errno.EROFS)
PATIENCE = 60.0  # seconds a job may take before it counts as stuck
_NUMBERS = re.compile(r"[0-9a-f]{12,16}|[0-9]+")
_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT

Scenario = Callable[[Path], None]


class _TornFile:
    """A file whose write may stop half way."""

    def __init__(self, file: Any, disk: FaultyDisk) -> None:
        self._file = file
        self._disk = disk

    def __enter__(self) -> _TornFile:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)

    def write(self, data: bytes) -> int:
        try:
            self._disk.call("write")
        except OSError:
            self._file.write(data[: len(data) // 2])
            self._file.flush()
            raise
        return self._file.write(data)


class FaultyDisk:
    """Counts calls that reach the disk; the one numbered `fails` raises `number`, once."""

    def __init__(self, fails: int | None = None, number: int = errno.EIO) -> None:
        self.calls = 0
        self.kinds: list[str] = []  # of each call: its name and the file, without numbers
        self.failed = ""
        self._fails = fails
        self._number = number
        self._path = ""  # the file opened last, which is the one that is written and synced

    def call(self, name: str) -> None:
        self.calls += 1
        self.kinds.append(f"{name} {_NUMBERS.sub('#', '/'.join(Path(self._path).parts[-3:]))}")
        if self.calls == self._fails:
            self.failed = name
            raise OSError(self._number, os.strerror(self._number))

    @contextmanager
    def mounted(self) -> Iterator[FaultyDisk]:
        real = {name: getattr(os, name) for name in ("open", "fdopen", "fsync", "replace")}
        real["mkdir"] = Path.mkdir  # before Python 3.11 it keeps the function of `os` that it began with

        def plain(name: str) -> Callable[..., Any]:
            def call(*arguments: Any, **options: Any) -> Any:
                if name != "fsync":
                    self._path = str(arguments[-1] if name == "replace" else arguments[0])
                self.call(name)
                return real[name](*arguments, **options)

            return call

        def open_(path: Any, flags: int, *arguments: Any, **options: Any) -> int:
            self._path = str(path)
            if flags & _WRITING:
                self.call("open")
            return real["open"](path, flags, *arguments, **options)

        def fdopen(*arguments: Any, **options: Any) -> Any:
            return _TornFile(real["fdopen"](*arguments, **options), self)

        replaced = {name: plain(name) for name in ("fsync", "replace")}
        with (
            mock.patch.multiple(os, open=open_, fdopen=fdopen, **replaced),
            mock.patch.object(Path, "mkdir", plain("mkdir")),
        ):
            yield self


@dataclass
class Counts:
    """What a sweep has done: faults by the call that failed. Anything lost would have raised."""

    scenario: str
    calls: int = 0
    faults: Counter[str] = field(default_factory=Counter)

    def __str__(self) -> str:
        kinds = ", ".join(f"{count} {name}" for name, count in sorted(self.faults.items()))
        return f"{self.scenario}: {self.faults.total()} faults in {self.calls} calls ({kinds}); nothing lost"


def sweep(name: str, scenario: Scenario, every: int = 1, *, by_kind: bool = False) -> Counts:
    """Run `scenario` with each `every`-th of its calls failing; `by_kind`: of the first and the last of each
    kind of call.
    """
    with tempfile.TemporaryDirectory() as folder, FaultyDisk().mounted() as whole:
        scenario(Path(folder))
    counts = Counts(name, whole.calls)
    errors = itertools.cycle(ERRORS)
    for fails in (_ends(whole.kinds) if by_kind else range(1, whole.calls + 1))[::every]:
        with tempfile.TemporaryDirectory() as folder:
            with FaultyDisk(fails, next(errors)).mounted() as disk:
                scenario(Path(folder))
            counts.faults[disk.failed or "not reached"] += 1
    return counts


def _ends(kinds: Sequence[str]) -> list[int]:
    """The numbers, from 1, of the first and the last call of each kind."""
    first = {kind: k for k, kind in reversed([*enumerate(kinds, start=1)])}
    last = {kind: k for k, kind in enumerate(kinds, start=1)}
    return sorted({*first.values(), *last.values()})


def again(action: Callable[[], Any], unchanged: Callable[[], None] = lambda: None) -> Any:
    """Do something; when it is refused, see that nothing was changed, and do it once more."""
    try:
        return action()
    except PerfusionError:
        unchanged()
    return action()


def library_scenario(make: Callable[..., Concept]) -> Scenario:
    """Every change of a library and of what was chosen beside it, each on top of the others.

    `make(name, seed)` makes a concept.
    """

    def scenario(folder: Path) -> None:
        library = Library(folder / "home")
        image = Image.new("RGB", (64, 64), "red")
        gift = folder / "gift.safetensors"
        again(lambda: save_concept(make("gift", 3), gift))

        def listing() -> set[tuple[str, str]]:
            assert library.damaged() == []
            return {(entry.name, entry.load().content_hash) for entry in library.entries()}

        def change(action: Callable[[], Any], after: set[tuple[str, str]]) -> None:
            before = listing()
            thrown = len(library.deleted())

            def unchanged() -> None:
                # A refusal leaves the old state, or the new one where only its last sync failed.
                assert before & after <= listing() <= before | after
                assert len(library.deleted()) + len(library.entries()) >= thrown + len(before)

            done = [False]

            def once() -> None:
                if done[0] and before != after == listing():
                    return  # it had been done before it was called refused
                done[0] = True
                action()

            again(once, unchanged)
            assert listing() == after

        one, two, new = make("biscuit", 0), make("mug", 1), make("mug", 2)
        a, b, c = one.content_hash, two.content_hash, new.content_hash
        g = make("gift", 3).content_hash
        change(lambda: library.add(one, thumbnail=image), {("biscuit", a)})
        run = again(lambda: library.begin(lambda home: None))
        change(lambda: library.add(two, thumbnail=image, folder=run), {("biscuit", a), ("mug", b)})
        change(lambda: library.rename("biscuit", "keks"), {("keks", a), ("mug", b)})
        kept = {("keks", a), ("mug", b)}
        change(lambda: library.set_notes("keks", "notes"), kept)
        change(lambda: library.set_bias("keks", "local", 0.7), kept)
        change(lambda: library.duplicate("keks", "copy"), kept | {("copy", a)})
        change(lambda: library.add(new, overwrite=True), {("keks", a), ("mug", c), ("copy", a)})
        change(lambda: library.delete("copy"), {("keks", a), ("mug", c)})
        copy = next(one.id for one in library.deleted() if one.name == "copy")
        change(lambda: library.restore(copy), {("keks", a), ("mug", c), ("copy", a)})
        everything = {("keks", a), ("mug", c), ("copy", a), ("gift", g)}
        change(lambda: library.import_file(gift), everything)
        several = [folder / "tray.safetensors", folder / "vase.safetensors"]
        for seed, path in enumerate(several, start=4):
            again(lambda path=path, seed=seed: save_concept(make(path.stem, seed), path))
            everything = everything | {(path.stem, make(path.stem, seed).content_hash)}

        def import_all() -> None:
            summary = import_many(library, several)
            if not summary.whole:
                assert summary.stopped
                assert summary.refused == []  # the disk is at fault, and no file
                raise PerfusionError(summary.stopped)

        change(import_all, everything)
        again(lambda: library.export("keks", folder / "out.safetensors", overwrite=True))
        _choose(folder / "home")
        entry = library.get("keks")
        assert (entry.metadata.notes, entry.metadata.bias["local"]) == ("notes", 0.7)
        assert b in {found.load().content_hash for found, _ in scan(library.trash) if found is not None}

    return scenario


def _choose(home: Path) -> None:
    """One choice after the other is kept, and a refused one leaves those before it."""
    before = Preferences()
    for change in ({"outputs": "pictures"}, {"memory": 8.0}, {"outputs": ""}):
        after = before.model_copy(update=change)

        def unchanged(before: Preferences = before, after: Preferences = after) -> None:
            assert read_preferences(home) in (before, after)

        again(lambda change=change: prefer(home, **change), unchanged)
        assert read_preferences(home) == after
        before = after


def jobs_scenario(folder: Path) -> None:
    """Jobs that run, wait, are stopped and resumed, after a start that finds one interrupted."""
    store = JobStore(folder / "home" / "jobs")

    def left_running() -> str:
        return store.save(store.new("teach", "left", {}).changed(state="running")).id

    left = again(left_running)

    def handler(context: JobContext) -> dict[str, Any]:
        for step in range(2):
            context.emit({"kind": "step", "step": step})
        return {"made": context.job.title}

    worker = Worker(store, {"teach": handler, "generate": handler})
    worker.start()
    no_garbage = mock.patch.object(jobs_worker, "_free_memory")  # there is none, and it takes long
    no_garbage.start()
    try:
        assert store.get(left).state == "interrupted"
        jobs = [again(lambda k=k: worker.submit("generate", f"job {k}", {})) for k in range(3)]
        jobs.append(again(lambda: worker.resume(left)))
        for job in jobs:
            done = worker.wait(job.id, PATIENCE)
            assert (done.state, done.result) == ("done", {"made": done.title}), done
        last = again(lambda: worker.submit("generate", "last", {}))
        assert worker.wait(last.id, PATIENCE).state == "done"
    finally:
        worker.close()
        no_garbage.stop()
    kept = {job.id: job.state for job in JobStore(store.root).all()}
    assert {kept.get(job.id) for job in (*jobs, last)} == {"done"}, kept
