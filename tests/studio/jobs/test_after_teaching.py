"""The front after a teaching can fail, be killed and be drawn later; the concept is safe before it."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from perfusion_core.errors import LibraryError, PerfusionError
from perfusion_core.studio.app import Studio
from perfusion_core.studio.fronts import first_front as fronts
from perfusion_core.studio.library.library import Library
from perfusion_core.studio.teaching import run
from perfusion_core.studio.teaching.run import TeachRequest, begin_teaching, teach
from tests.quick_recipe import QUICK

PATIENCE = 120  # seconds a job may take on a slow machine


@pytest.fixture
def studio(settings: Any, loaded: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[Studio]:
    studio = Studio(settings)
    monkeypatch.setattr(studio.bases, "get", lambda reference=None, loras=(): loaded)
    studio.start()
    yield studio
    studio.close()


@pytest.mark.parametrize("failure", [PerfusionError("No room."), ZeroDivisionError("odd")])
def test_a_front_that_fails_in_any_way_leaves_the_teaching_done(
    studio: Studio, photos: list[Path], monkeypatch: pytest.MonkeyPatch, failure: Exception
) -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise failure

    monkeypatch.setattr(fronts, "first_front", fail)
    job = studio.wait(studio.submit_teach(TeachRequest(photos, "rex", "dog", settings=QUICK)).id, PATIENCE)
    assert (job.state, job.result["concept"], job.result["front"]) == ("done", "rex", None)
    said = [event["text"] for event in studio.events(job.id, kind="warning")]
    assert any("The front was not drawn" in text for text in said)


@pytest.mark.parametrize("overwrite", [False, True])
def test_a_teaching_killed_while_its_front_is_drawn_goes_on_with_the_front(
    studio: Studio,
    loaded: Any,
    make_concept: Any,
    photos: list[Path],
    monkeypatch: pytest.MonkeyPatch,
    overwrite: bool,
) -> None:
    if overwrite:
        studio.library.add(make_concept(loaded.base, "rex"))

    def killed(*_: Any, **__: Any) -> None:
        raise SystemExit(9)

    with monkeypatch.context() as patch:
        patch.setattr(fronts, "first_front", killed)
        asked = TeachRequest(photos, "rex", "dog", settings=QUICK, overwrite=overwrite)
        job = studio.wait(studio.submit_teach(asked).id, PATIENCE)
    assert job.state == "failed"
    taught = studio.library.get("rex")
    half = Path(job.request["folder"]) / "run" / "front" / "00001-front-half"
    half.mkdir(parents=True)

    trained = []
    monkeypatch.setattr(run, "make_squares", lambda *_: trained.append("again"))
    done = studio.wait(studio.resume(job.id).id, PATIENCE)
    assert (done.state, done.error) == ("done", None)
    assert done.result["front"] is not None
    assert trained == []
    assert not half.exists()
    (entry,) = studio.library.entries()
    assert (entry.id, entry.load().content_hash) == (taught.id, taught.load().content_hash)
    assert len(studio.library.deleted()) == int(overwrite)


def _waits_to_be_stopped(monkeypatch: pytest.MonkeyPatch) -> threading.Event:
    """The front goes on only when it is to stop. Returns what is set when drawing it has begun."""
    entered, real = threading.Event(), fronts.first_front

    def waiting(*arguments: Any, should_stop: Callable[[], bool], **options: Any) -> Any:
        entered.set()
        while not should_stop():
            time.sleep(0.005)
        return real(*arguments, should_stop=should_stop, **options)

    monkeypatch.setattr(fronts, "first_front", waiting)
    return entered


def test_the_app_closed_while_the_front_is_drawn_goes_on_with_the_front_alone(
    studio: Studio, loaded: Any, photos: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        entered = _waits_to_be_stopped(patch)
        job = studio.submit_teach(TeachRequest(photos, "rex", "dog", settings=QUICK))
        assert entered.wait(PATIENCE)
        studio.close()
    closed = Studio(studio.settings).job(job.id)
    assert (closed.state, closed.error) == ("interrupted", None)
    taught = studio.library.get("rex")

    trained = []
    monkeypatch.setattr(run, "make_squares", lambda *_: trained.append("again"))
    again = Studio(studio.settings)
    monkeypatch.setattr(again.bases, "get", lambda reference=None, loras=(): loaded)
    again.start()
    try:
        done = again.wait(again.resume(job.id).id, PATIENCE)
        assert (done.state, done.result["concept"]) == ("done", "rex")
        assert all(Path(path).is_file() for path in done.result["front"]["result"]["paths"])
        assert trained == again.events(job.id, kind="warning") == []
        assert len(list((taught.folder / "run" / "front").iterdir())) == 1
        assert [entry.id for entry in again.library.entries()] == [taught.id]
    finally:
        again.close()


def test_a_front_that_a_person_stops_leaves_the_teaching_done(
    studio: Studio, photos: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    entered = _waits_to_be_stopped(monkeypatch)
    job = studio.submit_teach(TeachRequest(photos, "rex", "dog", settings=QUICK))
    assert entered.wait(PATIENCE)
    studio.stop(job.id)
    done = studio.wait(job.id, PATIENCE)
    assert (done.state, done.result["concept"], done.result["front"]) == ("done", "rex", None)
    said = [event["text"] for event in studio.events(job.id, kind="warning")]
    assert said == ["Drawing the front was stopped. Explore draws it anew."]


def test_killed_between_the_new_concept_and_the_old_ones_way_to_the_trash_ends_with_one(
    library: Library, loaded: Any, make_concept: Any, photos: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    old = library.add(make_concept(loaded.base, "rex"))
    folder = begin_teaching(library, TeachRequest(photos, "rex", "dog", settings=QUICK, overwrite=True))

    def killed(*_: Any) -> None:
        raise SystemExit(9)

    with monkeypatch.context() as patch:
        patch.setattr(Library, "_to_trash", killed)
        with pytest.raises(SystemExit):
            teach(library, loaded, folder)
    assert len(library.entries()) == 2
    taught = teach(library, loaded, folder)
    assert taught.entry is not None
    assert [entry.folder for entry in library.entries()] == [folder]
    assert [deleted.id for deleted in library.deleted()] == [old.id]


def test_a_name_given_away_while_it_was_taught_gets_a_number_and_a_warning(
    library: Library, loaded: Any, make_concept: Any, photos: list[Path]
) -> None:
    folder = begin_teaching(library, TeachRequest(photos, "rex", "dog", settings=QUICK))
    library.add(make_concept(loaded.base, "rex"))
    taught = teach(library, loaded, folder)
    assert taught.entry is not None
    assert taught.entry.name == "rex-2"
    assert any("<rex-2>" in words for words in taught.warnings)
    again = teach(library, loaded, folder).entry
    assert again is not None
    assert again.id == taught.entry.id


def test_a_name_that_looks_alike_given_away_while_it_was_taught_gets_a_number_too(
    library: Library, loaded: Any, make_concept: Any, photos: list[Path]
) -> None:
    folder = begin_teaching(library, TeachRequest(photos, "cop", "dog", settings=QUICK))
    library.add(make_concept(loaded.base, "сор"))  # Cyrillic
    taught = teach(library, loaded, folder)
    assert taught.entry is not None
    assert taught.entry.name == "cop-2"
    assert any("<cop-2>" in words for words in taught.warnings)


def test_a_disk_that_refuses_the_old_ones_way_to_the_trash_gives_the_new_one_no_other_name(
    library: Library, loaded: Any, make_concept: Any, photos: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    old = library.add(make_concept(loaded.base, "rex"))
    folder = begin_teaching(library, TeachRequest(photos, "rex", "dog", settings=QUICK, overwrite=True))

    def full(*_: Any) -> None:
        raise LibraryError("The folder cannot be made (No space left on device).")

    with monkeypatch.context() as patch:
        patch.setattr(Library, "_to_trash", full)
        with pytest.raises(LibraryError, match="No space left"):
            teach(library, loaded, folder)
    assert {entry.name for entry in library.entries()} == {"rex"}
    taught = teach(library, loaded, folder)
    assert taught.entry is not None
    assert not any("meanwhile" in words for words in taught.warnings)
    assert [(entry.folder, entry.name) for entry in library.entries()] == [(folder, "rex")]
    assert [deleted.id for deleted in library.deleted()] == [old.id]
