"""One base model in memory, loaded by the worker alone."""

from __future__ import annotations

import gc
import threading
import weakref
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from perfusion_core.errors import PerfusionError
from perfusion_core.model import base as model_base
from perfusion_core.sampling.request import GenerationRequest
from perfusion_core.studio.app import Studio
from perfusion_core.studio.bases import Bases
from perfusion_core.studio.creating.live import Busy, render_live
from perfusion_core.studio.jobs import worker as jobs_worker
from perfusion_core.studio.jobs.worker import JobStopped
from perfusion_core.studio.readiness import Readiness
from perfusion_core.studio.settings import Settings
from perfusion_core.studio.teaching.staging import Look, stage, with_masks


class FakeBase:
    """Stands for a base model that takes memory."""

    device = "cpu"
    loras = ()

    def __init__(self, reference: str) -> None:
        self.id = reference


class Memory:
    """Counts the bases that are alive, and notes on which threads they were loaded."""

    def __init__(self) -> None:
        self.alive: weakref.WeakSet[FakeBase] = weakref.WeakSet()
        self.most = 0
        self.threads: set[str] = set()
        self.loaded: list[str] = []

    def load_base(self, reference: str, **_: Any) -> FakeBase:
        gc.collect()
        made = FakeBase(reference)
        self.alive.add(made)
        self.most = max(self.most, len(self.alive))
        self.threads.add(threading.current_thread().name)
        self.loaded.append(reference)
        return made


@pytest.fixture
def memory(monkeypatch: pytest.MonkeyPatch) -> Memory:
    counted = Memory()
    monkeypatch.setattr(model_base, "load_base", counted.load_base)
    return counted


@pytest.fixture
def studio(settings: Settings) -> Iterator[Studio]:
    made = Studio(replace(settings, base="first"))
    made.start()
    yield made
    made.close()


def test_changing_the_base_lets_the_old_one_go_first_and_loads_on_the_workers_thread(
    studio: Studio, memory: Memory
) -> None:
    readiness = Readiness(studio)
    for reference in ("first", "second", "third"):
        studio.use_base(reference)
        readiness.begin()
        assert readiness._thread is not None
        readiness._thread.join(30)
        assert readiness.words == "Ready"
    assert memory.loaded == ["first", "second", "third"]
    assert memory.most == 1
    assert memory.threads == {"perfusion-worker"}
    assert studio.jobs() == []


def test_a_base_waits_for_the_job_before_it_and_one_no_longer_wanted_is_skipped(
    studio: Studio, memory: Memory, monkeypatch: pytest.MonkeyPatch
) -> None:
    entered, leave = threading.Event(), threading.Event()

    def held(_context: Any) -> Any:
        entered.set()
        leave.wait(30)
        raise JobStopped

    monkeypatch.setitem(studio.worker._handlers, "generate", held)
    job = studio.submit_generate(GenerationRequest("a dog"))
    assert entered.wait(10)
    readiness = Readiness(studio)
    readiness.begin()
    assert readiness.words == "Loads after the job before it"
    studio.use_base("second")
    readiness.begin()
    assert memory.loaded == []
    assert studio.load_base() == "a dog"
    leave.set()
    assert readiness._thread is not None
    readiness._thread.join(30)
    assert memory.loaded == ["second"]
    assert studio.job(job.id).state == "stopped"


def test_a_borrowed_base_is_not_let_go_while_it_is_used(settings: Settings, memory: Memory) -> None:
    bases = Bases(replace(settings, base="first"))
    bases.get()
    changing = threading.Thread(target=bases.get, args=("second",))
    with bases.borrow() as held:
        changing.start()
        changing.join(0.2)
        assert held is not None
        assert bases.holds("first")
    del held
    changing.join(30)
    assert bases.holds("second")
    assert memory.most == 1
    with bases.borrow() as none:
        assert none is None


def test_looking_for_the_subject_loads_on_the_workers_thread_or_says_what_it_waits_for(
    settings: Settings, loaded: Any, photos: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    from perfusion_core.model import segment
    from tests.studio.conftest import MiddleSegmenter

    threads: list[str] = []

    def load_segmenter(_base: Any) -> MiddleSegmenter:
        threads.append(threading.current_thread().name)
        return MiddleSegmenter()

    monkeypatch.setattr(segment, "load_segmenter", load_segmenter)
    monkeypatch.setattr(model_base, "load_base", lambda *_, **__: loaded.base)
    studio = Studio(settings)
    studio.start()
    try:
        staged = stage(studio.staging, photos)
        assert not any(one.masked for one in with_masks(studio.staging, staged, Look("dog", "none"))[0])
        assert threads == []
        shown, said = with_masks(studio.staging, staged, Look("dog"))
        assert (all(one.masked for one in shown), said) == (True, "")
        assert threads == ["perfusion-worker"]
        studio.use_base("elsewhere")  # not loaded, and the worker is busy:
        monkeypatch.setattr(Studio, "load_base", lambda self, **_: "Teach <rex>")
        shown, said = with_masks(studio.staging, staged, Look("dog"))
        assert not any(one.masked for one in shown)
        assert "“Teach <rex>”" in said
    finally:
        studio.close()


def test_a_base_that_cannot_be_loaded_refuses_the_photos_in_words(
    settings: Settings, photos: list[Path]
) -> None:
    studio = Studio(replace(settings, base=str(settings.home / "missing")))
    studio.start()
    try:
        with pytest.raises(PerfusionError, match="no base model"):
            with_masks(studio.staging, stage(studio.staging, photos), Look("dog"))
    finally:
        studio.close()


def test_a_live_image_leaves_no_job_behind_even_when_it_takes_too_long(
    settings: Settings, loaded: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    studio = Studio(settings)
    monkeypatch.setattr(studio.bases, "get", lambda reference=None, loras=(): loaded)
    studio.start()
    request = GenerationRequest("a dog", steps=1, seed=1)
    ask = (studio.worker, request, settings.base, settings.cache_folder)
    freed: list[None] = []
    monkeypatch.setattr(jobs_worker, "_free_memory", lambda: freed.append(None))
    try:
        made = render_live(*ask)
        assert isinstance(made, Path)
        assert made.is_file()
        assert isinstance(render_live(*ask), Path)
        assert not freed  # the next position does not wait for the memory to be searched
        leave = threading.Event()

        def slow(_context: Any) -> Any:
            leave.wait(30)
            return {}

        monkeypatch.setitem(studio.worker._handlers, "generate", slow)
        assert render_live(*ask, timeout=0.05) == Busy("a dog")
        leave.set()
        after = studio.submit_load()
        studio.wait(after.id, 30)
        again = studio.submit_load()
        studio.wait(again.id, 30)
        assert freed
        assert studio.jobs() == []
        assert not settings.jobs_folder.exists()
    finally:
        studio.close()
