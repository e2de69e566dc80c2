from __future__ import annotations

import os
import shutil
import threading
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from perfusion_core.errors import ConceptError, LibraryError, PerfusionError
from perfusion_core.studio.library.library import Library
from perfusion_core.studio.library.thumbnails import embedded


@pytest.fixture
def library(tmp_path: Path) -> Library:
    return Library(tmp_path / "home")


@pytest.fixture
def concept(tiny_base: Any, make_concept: Any) -> Any:
    return make_concept(tiny_base)


def names(library: Library) -> list[str]:
    return sorted(entry.name for entry in library.entries())


def test_a_new_library_is_empty_and_says_what_to_do(library: Library) -> None:
    assert library.entries() == library.damaged() == library.deleted() == library.unfinished() == []
    with pytest.raises(LibraryError, match=r"no concept <biscuit>.*none yet.*Teach or import"):
        library.get("biscuit")


def test_what_was_added_is_listed_and_comes_back_exactly(library: Library, concept: Any) -> None:
    entry = library.add(concept, thumbnail=Image.new("RGB", (600, 300), "red"))
    assert names(library) == ["biscuit"]
    assert (entry.placeholder, entry.size) == ("<biscuit>", entry.file.stat().st_size)
    assert entry.thumbnail is not None
    assert Image.open(entry.thumbnail).size == (256, 128)
    assert library.load("biscuit").content_hash == concept.content_hash


@pytest.mark.parametrize("spelling", ["biscuit", "BISCUIT", "<Biscuit>", " biscuit "])
def test_a_concept_is_found_in_any_spelling(library: Library, concept: Any, spelling: str) -> None:
    library.add(concept)
    assert library.get(spelling).name == "biscuit"


def test_folders_are_never_named_by_what_a_person_typed(library: Library, concept: Any) -> None:
    assert "biscuit" not in str(library.add(concept).folder.relative_to(library.folder))


def test_a_taken_name_is_refused_and_nothing_changes(
    library: Library, tiny_base: Any, make_concept: Any
) -> None:
    first = library.add(make_concept(tiny_base))
    other = make_concept(tiny_base, seed=9)
    with pytest.raises(LibraryError, match=r"<biscuit> already.*--overwrite"):
        library.add(other)
    assert [entry.id for entry in library.entries()] == [first.id]
    assert library.deleted() == []


def test_overwriting_puts_the_old_one_into_the_trash(
    library: Library, tiny_base: Any, make_concept: Any
) -> None:
    old = library.add(make_concept(tiny_base))
    new = library.add(make_concept(tiny_base, seed=9), overwrite=True)
    assert [entry.id for entry in library.entries()] == [new.id]
    assert [deleted.id for deleted in library.deleted()] == [old.id]


def test_delete_is_undone_by_restore(library: Library, concept: Any) -> None:
    entry = library.add(concept, thumbnail=Image.new("RGB", (8, 8)))
    deleted = library.delete("biscuit")
    assert names(library) == []
    back = library.restore(deleted.id)
    assert (back.id, back.load().content_hash) == (entry.id, concept.content_hash)
    assert back.thumbnail is not None


def test_restore_never_takes_a_name_that_was_given_away(
    library: Library, tiny_base: Any, make_concept: Any
) -> None:
    library.add(make_concept(tiny_base))
    deleted = library.delete("biscuit")
    library.add(make_concept(tiny_base, seed=4))
    with pytest.raises(LibraryError, match="already"):
        library.restore(deleted.id)
    assert [d.id for d in library.deleted()] == [deleted.id]
    shutil.rmtree(library.trash)
    with pytest.raises(LibraryError, match="nothing to restore"):
        library.restore(deleted.id)


def test_rename_keeps_everything_else(library: Library, concept: Any) -> None:
    before = library.add(concept)
    after = library.rename("biscuit", "Keks")
    assert (after.id, after.name) == (before.id, "keks")
    assert after.load().content_hash == concept.content_hash
    assert library.rename("keks", "KEKS").name == "keks"
    with pytest.raises(ConceptError):
        library.rename("keks", "../x")
    assert names(library) == ["keks"]


def test_rename_and_duplicate_refuse_a_taken_name(
    library: Library, tiny_base: Any, make_concept: Any
) -> None:
    library.add(make_concept(tiny_base))
    library.add(make_concept(tiny_base, "mug", "cup"))
    for change in (library.rename, library.duplicate):
        with pytest.raises(LibraryError, match="<biscuit> already"):
            change("mug", "BISCUIT")
    assert names(library) == ["biscuit", "mug"]


def test_a_duplicate_is_a_concept_of_its_own(library: Library, concept: Any) -> None:
    library.add(concept, thumbnail=Image.new("RGB", (8, 8), "blue"))
    copy = library.duplicate("biscuit", "toast")
    library.set_bias("toast", "local", 0.9)
    assert library.get("biscuit").metadata.bias["local"] == 0.68
    assert library.get("toast").metadata.bias == {"local": 0.9, "global": 0.5}
    assert copy.thumbnail is not None


def test_notes_and_bias_survive_on_disk_and_absurd_ones_do_not_get_there(
    library: Library, concept: Any
) -> None:
    library.add(concept)
    library.set_notes("biscuit", "the neighbours' dog\nwith <b>bold</b> ears")
    assert Library(library.folder.parent).get("biscuit").metadata.notes.startswith("the neighbours'")
    with pytest.raises(LibraryError, match="Shorten"):
        library.set_notes("biscuit", "x" * 2001)
    with pytest.raises(PerfusionError):
        library.set_bias("biscuit", "local", float("nan"))
    assert library.get("biscuit").metadata.bias["local"] == 0.68


def test_export_and_import_make_a_round_trip(library: Library, concept: Any, tmp_path: Path) -> None:
    with_image = concept.with_metadata(thumbnail=embedded(Image.new("RGB", (64, 64), "green")))
    library.add(with_image)
    path = library.export("biscuit", tmp_path)
    assert path.name == "biscuit.safetensors"
    with pytest.raises(LibraryError, match="there already"):
        library.export("biscuit", path)
    library.export("biscuit", path, overwrite=True)
    other = Library(tmp_path / "friend")
    entry = other.import_file(path)
    assert entry.load().content_hash == concept.content_hash
    assert entry.thumbnail is not None
    with pytest.raises(LibraryError, match="already"):
        other.import_file(path)
    assert other.import_file(path, name="Second").name == "second"
    compact = library.export("biscuit", tmp_path / "small.safetensors", precision="float16")
    assert compact.stat().st_size < path.stat().st_size


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04", b"\x80\x04K\x01.", b"\xff" * 64])
def test_a_refused_import_changes_nothing(
    library: Library, concept: Any, tmp_path: Path, content: bytes
) -> None:
    library.add(concept)
    before = sorted(path for path in library.folder.rglob("*"))
    bad = tmp_path / "gift.safetensors"
    bad.write_bytes(content)
    with pytest.raises(ConceptError, match="gift"):
        library.import_file(bad)
    assert sorted(path for path in library.folder.rglob("*")) == before


def test_a_damaged_concept_hides_only_itself(library: Library, tiny_base: Any, make_concept: Any) -> None:
    broken = library.add(make_concept(tiny_base))
    library.add(make_concept(tiny_base, "mug", "cup"))
    broken.file.write_bytes(b"nonsense")
    assert names(library) == ["mug"]
    assert len(library.damaged()) == 1


def test_a_teaching_in_progress_is_not_listed_as_a_concept(library: Library, concept: Any) -> None:
    folder = library.begin()
    assert names(library) == []
    assert library.unfinished() == [folder]
    (folder / "run" / "teach.json").write_text("{}")
    entry = library.add(concept, folder=folder)
    assert (entry.folder, library.unfinished()) == (folder, [])
    assert (entry.run / "teach.json").is_file()


@pytest.mark.parametrize("survivors", range(6))
def test_a_kill_at_any_replacement_loses_nothing(
    library: Library,
    tiny_base: Any,
    make_concept: Any,
    monkeypatch: pytest.MonkeyPatch,
    survivors: int,
) -> None:
    old, new = make_concept(tiny_base), make_concept(tiny_base, seed=9)
    library.add(old)
    real, left = os.replace, [survivors]

    def replace(source: Any, target: Any) -> None:
        if left[0] == 0:
            raise KeyboardInterrupt  # as good as a kill: nothing of ours catches it
        left[0] -= 1
        real(source, target)

    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", replace)
        with suppress(KeyboardInterrupt):
            library.add(new, thumbnail=Image.new("RGB", (8, 8)), overwrite=True)
    listed = {entry.load().content_hash for entry in library.entries()}
    assert library.damaged() == []
    # Thumbnail, concept, the new folder into the library, the old one to the trash: in this order.
    if survivors < 3:
        assert listed == {old.content_hash}
    elif survivors == 3:
        assert listed == {old.content_hash, new.content_hash}
        assert library.load("biscuit").content_hash == new.content_hash
    else:
        assert listed == {new.content_hash}
        assert len(library.deleted()) == 1


def test_of_many_that_want_a_name_at_once_one_gets_it(
    library: Library, tiny_base: Any, make_concept: Any
) -> None:
    results: list[str] = []
    concepts = [make_concept(tiny_base, seed=k) for k in range(6)]

    def add(concept: Any) -> None:
        try:
            library.add(concept)
            results.append("added")
        except LibraryError:
            results.append("refused")

    threads = [threading.Thread(target=add, args=(concept,)) for concept in concepts]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(results) == ["added"] + ["refused"] * 5
    assert names(library) == ["biscuit"]


def test_a_library_that_cannot_be_written_says_so(tmp_path: Path, concept: Any) -> None:
    (tmp_path / "home").write_text("a file where a folder should be")
    with pytest.raises(LibraryError, match="PERFUSION_HOME"):
        Library(tmp_path / "home").add(concept)


def test_concepts_written_within_one_tick_of_the_clock_are_listed_by_name(
    library: Library, tiny_base: Any, make_concept: Any
) -> None:
    for name in ("poodle", "biscuit", "mug", "anchor", "teddy"):
        os.utime(library.add(make_concept(tiny_base, name)).file, (1_700_000_000, 1_700_000_000))
    assert [entry.name for entry in library.entries()] == ["anchor", "biscuit", "mug", "poodle", "teddy"]
