"""A folder of results into the library: each file taken whole, passed over, or refused in words."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from perfusion_core.concept import Concept, load_concept, save_concept
from perfusion_core.errors import LibraryError
from perfusion_core.studio.library.entry import CONCEPT_FILE, DRAFT_PREFIX
from perfusion_core.studio.library.import_many import concept_files, import_many
from perfusion_core.studio.library.library import Library


@pytest.fixture
def library(tmp_path: Path) -> Library:
    return Library(tmp_path / "home")


@pytest.fixture
def make(tiny_base: Any, make_concept: Any) -> Callable[..., Concept]:
    def made(name: str, seed: int = 0, **metadata: Any) -> Concept:
        return make_concept(tiny_base, name=name, seed=seed, **metadata)

    return made


@pytest.fixture
def results(tmp_path: Path, make: Callable[..., Concept]) -> Path:
    """Three sound concepts, one of them in a folder below."""
    folder = tmp_path / "results"
    (folder / "more").mkdir(parents=True)
    for seed, name in enumerate(("mug", "rex")):
        save_concept(make(name, seed), folder / f"{name}.safetensors")
    save_concept(make("teapot", 2), folder / "more" / "teapot.safetensors")
    return folder


def names(library: Library) -> list[str]:
    return sorted(entry.name for entry in library.entries())


def test_all_of_a_folder_is_imported_with_what_lies_below_it(library: Library, results: Path) -> None:
    heard: list[tuple[int, int]] = []
    summary = import_many(library, concept_files(results), results, lambda *now: heard.append(now))
    assert names(library) == ["mug", "rex", "teapot"]
    assert summary.whole
    assert summary.headline() == "3 concepts imported."
    assert summary.lines() == []
    assert heard == [(1, 3), (2, 3), (3, 3)]
    for path in concept_files(results):
        expected = load_concept(path)
        assert library.load(expected.name).content_hash == expected.content_hash


def test_importing_again_passes_over_what_is_here_under_whatever_name(
    library: Library, results: Path
) -> None:
    import_many(library, concept_files(results))
    library.rename("mug", "cup")
    library.set_notes("rex", "the best one")
    summary = import_many(library, concept_files(results), results)
    assert summary.headline() == "0 concepts imported, 3 here already."
    assert "“mug.safetensors” is here already as <cup>." in summary.lines()
    assert summary.whole
    assert names(library) == ["cup", "rex", "teapot"]
    assert library.get("rex").metadata.notes == "the best one"


def test_a_taken_name_gets_a_number_and_neither_concept_is_lost(
    library: Library, results: Path, make: Callable[..., Concept]
) -> None:
    mine = library.add(make("Mug".lower(), 9)).load()
    save_concept(make("mug", 8), results / "zz.safetensors")
    summary = import_many(library, concept_files(results), results)
    assert names(library) == ["mug", "mug-2", "mug-3", "rex", "teapot"]
    assert library.load("mug").content_hash == mine.content_hash
    assert summary.renamed == [
        "“mug.safetensors” is <mug-2> here: there was a <mug> already.",
        "“zz.safetensors” is <mug-3> here: there was a <mug> already.",
    ]


def test_the_same_concept_twice_in_one_folder_is_taken_once(library: Library, results: Path) -> None:
    (results / "copy.safetensors").write_bytes((results / "rex.safetensors").read_bytes())
    summary = import_many(library, concept_files(results), results)
    assert names(library) == ["mug", "rex", "teapot"]
    assert summary.known == ["“rex.safetensors” is here already as <rex>."]


def test_refused_files_are_named_with_their_reason_and_the_others_come_in(
    library: Library, results: Path
) -> None:
    (results / "a.safetensors").write_bytes(b"PK\x03\x04 an archive")
    (results / "more" / "half.safetensors").write_bytes(
        (results / "more" / "teapot.safetensors").read_bytes()[:-100]
    )
    (results / "odd.safetensors").mkdir()
    summary = import_many(library, concept_files(results), results)
    assert names(library) == ["mug", "rex", "teapot"]
    assert not summary.whole
    assert summary.headline() == "3 concepts imported, 3 refused."
    archive, half, odd = summary.lines()
    assert archive.startswith("“a.safetensors” was refused: it is an archive")
    assert half.startswith("“more/half.safetensors”: “half.safetensors” was refused: ")
    assert odd.startswith("“odd.safetensors” was refused: ")


def test_a_name_that_looks_like_another_is_refused(
    library: Library, results: Path, make: Callable[..., Concept]
) -> None:
    cyrillic = "\u0440\u0435\u0445"  # looks like pex
    library.add(make("pex", 7))
    save_concept(make(cyrillic, 6), results / "other.safetensors")
    summary = import_many(library, concept_files(results), results)
    assert summary.headline() == "3 concepts imported, 1 refused."
    assert "looks like <pex>" in summary.refused[0]
    assert summary.refused[0].startswith("“other.safetensors”")


@pytest.mark.parametrize("fits", [0, 1, 2])
def test_a_disk_that_fills_up_keeps_what_was_taken_and_names_the_rest(
    library: Library, results: Path, monkeypatch: pytest.MonkeyPatch, fits: int
) -> None:
    replace, count = os.replace, [0]

    def filling(source: Any, target: Any) -> None:
        if Path(target).name == CONCEPT_FILE:
            count[0] += 1
            if count[0] > fits:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        replace(source, target)

    monkeypatch.setattr(os, "replace", filling)
    summary = import_many(library, concept_files(results), results)
    monkeypatch.undo()
    assert len(library.entries()) == len(summary.names) == fits
    assert not list(library.folder.glob(f"{DRAFT_PREFIX}*"))
    assert len(summary.not_tried) == 3 - fits
    assert summary.headline().endswith(f"{3 - fits} not tried.")
    assert "is full" in summary.lines()[0]
    assert all(name in summary.lines()[0] for name in summary.not_tried)
    again = import_many(library, concept_files(results), results)
    assert (len(again.names), len(again.known)) == (3 - fits, fits)
    assert names(library) == ["mug", "rex", "teapot"]


def test_a_library_that_cannot_be_changed_refuses_all_in_one_sentence(
    library: Library, results: Path
) -> None:
    library.folder.parent.mkdir()
    library.folder.write_text("a file where the folder should be", encoding="utf-8")
    summary = import_many(library, concept_files(results), results)
    assert summary.headline() == "0 concepts imported, 3 not tried."
    assert len(summary.lines()) == 1


def test_more_files_than_are_taken_under_one_lock(
    library: Library, results: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from perfusion_core.studio.library import import_many as module

    monkeypatch.setattr(module, "_AT_A_TIME", 2)
    (results / "z.safetensors").write_bytes((results / "mug.safetensors").read_bytes())
    summary = import_many(library, concept_files(results), results)
    assert summary.headline() == "3 concepts imported, 1 here already."


def test_hidden_files_and_a_run_s_checkpoints_are_not_concepts_of_the_folder(
    library: Library, results: Path
) -> None:
    whole = (results / "mug.safetensors").read_bytes()
    run = results / "abc" / "run"
    run.mkdir(parents=True)
    for path in (run / "best.safetensors", run / "last.safetensors", results / "._mug.safetensors"):
        path.write_bytes(whole)
    (results / ".hidden").mkdir()
    (results / ".hidden" / "mug.safetensors").write_bytes(whole)
    (run / "checkpoint.pt").write_bytes(b"")
    (results / "best.safetensors").write_bytes(whole)  # somebody's name for a concept
    found = [path.relative_to(results).as_posix() for path in concept_files(results)]
    assert found == ["best.safetensors", "more/teapot.safetensors", "mug.safetensors", "rex.safetensors"]


def test_a_whole_library_from_another_machine_can_be_imported(
    library: Library, tmp_path: Path, results: Path
) -> None:
    other = Library(tmp_path / "other")
    import_many(other, concept_files(results))
    import_many(library, concept_files(other.folder), other.folder)
    assert names(library) == names(other)


@pytest.mark.parametrize("there", ["nothing", "a file", "an empty folder", "too many"])
def test_a_folder_without_concepts_is_an_error_that_says_so(
    tmp_path: Path, results: Path, monkeypatch: pytest.MonkeyPatch, there: str
) -> None:
    from perfusion_core.studio.library import import_many as module

    folder = tmp_path / "x"
    if there == "a file":
        folder.write_bytes(b"")
    if there == "an empty folder":
        folder.mkdir()
    if there == "too many":
        folder = results
        monkeypatch.setattr(module, "MOST_FILES", 2)
    said = {"an empty folder": "no concept file", "too many": "3 files in"}.get(there, "no folder")
    with pytest.raises(LibraryError, match=said):
        concept_files(folder)
