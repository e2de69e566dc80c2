"""A new library, kept choices, and what a teaching has learned so far."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from perfusion_core.concept import save_concept
from perfusion_core.errors import LibraryError, PerfusionError
from perfusion_core.sampling.request import GenerationRequest
from perfusion_core.studio.app import Studio
from perfusion_core.studio.creating.create import make_images
from perfusion_core.studio.creating.live import FOLDER, is_live
from perfusion_core.studio.jobs.store import JobStore
from perfusion_core.studio.library.bundled import welcome
from perfusion_core.studio.library.library import Library
from perfusion_core.studio.machine import machine_facts
from perfusion_core.studio.readiness import Readiness
from perfusion_core.studio.settings import (
    PREFERENCES_FILE,
    Preferences,
    chosen_folder,
    prefer,
    preferred,
    read_preferences,
    write_preferences,
)
from perfusion_core.studio.teaching.save_now import save_now
from perfusion_core.studio.teaching.staging import stage


def test_bundled_concepts_come_into_a_library_that_was_never_used_and_only_there(
    library: Library, tiny_base: Any, make_concept: Any, tmp_path: Path
) -> None:
    bundled = tmp_path / "bundled"
    bundled.mkdir()
    save_concept(make_concept(tiny_base), bundled / "biscuit.safetensors")
    (bundled / "damaged.safetensors").write_bytes(b"no")
    assert welcome(library, bundled) == ["biscuit"]
    assert library.load("biscuit").name == "biscuit"
    library.delete("biscuit")
    assert welcome(library, bundled) == []


def test_all_bundled_concepts_come_at_once_or_after_a_full_disk_at_the_next_start(
    library: Library, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, left = os.fsync, [4]

    def filling(handle: int) -> None:
        left[0] -= 1
        if left[0] < 0:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        real(handle)

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", filling)
        assert welcome(library) == []
    assert list(library.folder.parent.iterdir()) == []
    assert welcome(library) == ["trekker", "blaze"]
    assert library.damaged() == []


@pytest.mark.parametrize(
    "text", ["pictures", "../pictures", "/nowhere/at/all", "~nosuchuser/x", "/x\0y", "/" + "x" * 5000]
)
def test_a_folder_that_is_no_place_is_refused_before_anything_is_made(
    text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(PerfusionError, match="Give the full path"):
        chosen_folder(text, "pictures", tmp_path / "home")
    assert list(tmp_path.iterdir()) == []


def test_a_new_folder_in_one_that_is_there_is_made_and_a_file_is_refused(tmp_path: Path) -> None:
    assert chosen_folder(f" {tmp_path / 'new'} ", "pictures", tmp_path / "home") == tmp_path / "new"
    assert (tmp_path / "new").is_dir()
    (tmp_path / "file").touch()
    with pytest.raises(PerfusionError, match="Give the full path"):
        chosen_folder(str(tmp_path / "file"), "pictures", tmp_path / "home")


def _seen_by_others(folder: Path) -> set[str]:
    """What of a data folder others on this machine could read, by name; nothing inside private folders."""
    found: set[str] = set()
    for path in folder.iterdir():
        if path.stat().st_mode & 0o077:
            found |= {path.name} | (_seen_by_others(path) if path.is_dir() else set())
    return found


@pytest.fixture
def usual_umask() -> Iterator[None]:
    before = os.umask(0o022)
    yield
    os.umask(before)


@pytest.mark.usefixtures("usual_umask")
def test_a_data_folder_of_an_earlier_version_becomes_the_users_alone(settings: Any) -> None:
    for name in ("library", "jobs", "cache", "outputs", "trash", "cache/staging"):
        (settings.home / name).mkdir(parents=True)
        (settings.home / name / "old.png").touch()
    write_preferences(settings.home, Preferences())
    (settings.home / PREFERENCES_FILE).chmod(0o644)
    assert {"old.png", "staging", PREFERENCES_FILE} <= _seen_by_others(settings.home)
    studio = Studio(settings)
    studio.start()
    studio.close()
    assert _seen_by_others(settings.home) <= {"studio.lock"}


@pytest.mark.usefixtures("usual_umask")
def test_what_is_made_in_a_data_folder_that_others_may_read_is_the_users_alone_at_once(
    settings: Any, loaded: Any, make_concept: Any, photos: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    home = settings.home
    home.mkdir(parents=True)
    studio = Studio(replace(settings, outputs=home / "outputs"))
    monkeypatch.setattr(studio.bases, "get", lambda reference=None, loras=(): loaded)
    studio.start()
    try:
        studio.library.add(make_concept(loaded.base))
        studio.library.add(make_concept(loaded.base, "mug", "cup", seed=1))
        asked = GenerationRequest("<biscuit> and <mug>", seed=1, steps=1)
        deeper = home / "pictures" / "mine"
        jobs = [
            studio.submit_generate(asked),
            studio.submit_front(asked, "biscuit", (0.5,)),
            studio.submit_grid(asked, ("biscuit", "mug"), ((0.5,), (0.5,)), out=deeper),
        ]
        assert [studio.wait(job.id, 60).error for job in jobs] == [None] * 3
        stage(studio.staging, photos)
        studio.library.delete("mug")
        chosen_folder(str(home / "chosen"), "pictures", home)
    finally:
        studio.close()
    names = {path.name for path in home.iterdir()}
    assert {"outputs", "pictures", "chosen", "cache", "trash", "library", "jobs"} <= names
    assert len(list(home.rglob("0000*"))) == 3
    assert _seen_by_others(home) <= {"studio.lock"}


@pytest.mark.usefixtures("usual_umask")
def test_pictures_made_elsewhere_can_be_read_by_whoever_may_read_there(
    library: Library, loaded: Any, make_concept: Any, tmp_path: Path
) -> None:
    library.add(make_concept(loaded.base))
    out = tmp_path / "shared"
    (made,) = make_images(library, loaded, GenerationRequest("<biscuit>", seed=1, steps=1), out).paths
    assert (out.stat().st_mode & 0o777, made.stat().st_mode & 0o777) == (0o755, 0o644)
    assert (
        chosen_folder(str(tmp_path / "new"), "pictures", tmp_path / "home").stat().st_mode & 0o777
    ) == 0o755


def test_a_chosen_base_is_found_again_unless_the_start_says_otherwise(settings: Any) -> None:
    write_preferences(settings.home, Preferences(base="/models/mine"))
    assert preferred(replace(settings, base="pocket")).base == "/models/mine"
    assert preferred(replace(settings, base="/other")).base == "/other"


def test_the_pocket_base_wins_over_the_chosen_one_when_the_start_names_it(
    settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    from perfusion_core.cli.main import _settings
    from perfusion_core.cli.parser import make_parser

    monkeypatch.setenv("PERFUSION_HOME", str(settings.home))
    monkeypatch.delenv("PERFUSION_BASE", raising=False)
    write_preferences(settings.home, Preferences(base="/models/mine"))
    parse = make_parser().parse_args
    assert preferred(_settings(parse([]))).base == "/models/mine"
    assert preferred(_settings(parse(["--base", "pocket"]))).base == "pocket"
    monkeypatch.setenv("PERFUSION_BASE", "pocket")
    assert preferred(_settings(parse([]))).base == "pocket"


def test_folders_and_memory_that_were_chosen_are_found_again(settings: Any, tmp_path: Path) -> None:
    prefer(settings.home, outputs=str(tmp_path / "pictures"), memory=8.0)
    prefer(settings.home, models=str(tmp_path / "models"))
    found = preferred(settings)
    assert (found.outputs, found.memory) == (tmp_path / "pictures", 8.0)
    assert found.models_folder == tmp_path / "models"


def test_a_base_chosen_while_another_loads_is_loaded_after_it(
    settings: Any, loaded: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    studio = Studio(replace(settings, base="first"))
    readiness, asked = Readiness(studio), []

    def get(reference: str, _loras: Any) -> Any:
        asked.append(reference)
        if reference == "first":
            studio.use_base("second")
            readiness.begin()
        return loaded

    monkeypatch.setattr(studio.bases, "get", get)
    studio.start()
    try:
        readiness.begin()
        assert readiness._thread is not None
        readiness._thread.join(60)
        while len(asked) < 2:  # the second one has a thread of its own
            readiness._thread.join(0.01)
        assert asked == ["first", "second"]
        readiness._thread.join(60)
        assert readiness.problem == ""
    finally:
        studio.close()


def test_damaged_preferences_are_as_if_nothing_had_been_chosen(settings: Any) -> None:
    settings.home.mkdir()
    (settings.home / PREFERENCES_FILE).write_text("{")
    assert read_preferences(settings.home) == Preferences()


def test_a_base_that_cannot_be_loaded_is_a_problem_in_words(settings: Any) -> None:
    studio = Studio(replace(settings, base=str(settings.home / "missing")))
    studio.start()
    try:
        readiness = Readiness(studio)
        readiness.begin()
        assert readiness._thread is not None
        readiness._thread.join(60)
        assert "no base model" in readiness.problem
        assert readiness.words == "Not usable"
        assert studio.jobs() == []
    finally:
        studio.close()


def test_memory_is_read_without_a_model(settings: Any) -> None:
    facts = machine_facts(Studio(settings))
    assert 0 <= facts.memory_used <= facts.memory_total


def test_what_was_learned_so_far_becomes_a_concept_of_its_own(
    settings: Any, library: Library, tiny_base: Any, make_concept: Any
) -> None:
    folder = library.begin()
    job = JobStore(settings.jobs_folder).new("teach", "Teach", {"folder": str(folder)})
    with pytest.raises(LibraryError, match="checkpoint"):
        save_now(library, job)
    save_concept(make_concept(tiny_base), folder / "run" / "best.safetensors")
    assert save_now(library, job).name == "biscuit-so-far"
    assert save_now(library, job).name == "biscuit-so-far-2"


def test_images_under_a_dragged_slider_are_known_by_their_folder(settings: Any) -> None:
    store = JobStore(settings.jobs_folder)
    assert is_live(store.new("generate", "x", {"out": str(settings.cache_folder / FOLDER)}))
    assert not is_live(store.new("generate", "x", {"out": str(settings.outputs)}))
