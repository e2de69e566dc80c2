"""What the library refuses leaves nothing behind, and what the disk refuses is told in words."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from perfusion_core.concept import Concept, concept_bytes, load_concept, save_concept
from perfusion_core.container import MAX_FILE_BYTES
from perfusion_core.errors import ConceptError, LibraryError, PerfusionError
from perfusion_core.studio.library.library import Library
from perfusion_core.studio.library.names import free_name


@pytest.fixture
def library(tmp_path: Path) -> Library:
    return Library(tmp_path / "home")


@pytest.fixture
def concept(tiny_base: Any, make_concept: Any) -> Concept:
    return make_concept(tiny_base)


def everything(library: Library) -> list[Path]:
    """All files and folders of the library and the trash, but for the lock."""
    found = [path for folder in (library.folder, library.trash) for path in folder.rglob("*")]
    return sorted(path for path in found if path.name != ".lock")


def large(concept: Concept, numbers: int) -> Concept:
    """A concept with so many numbers in its layers, each exact in half precision."""
    import torch

    values = {f"layer{k}": torch.full((numbers // 60,), 0.5) for k in range(60)}
    half = {name: getattr(concept, name).half().float() for name in ("target_input", "embedding")}
    encoding = concept.superclass_encoding
    assert encoding is not None
    return Concept(concept.metadata, **half, superclass_encoding=encoding.half().float(), values=values)


def test_adding_twice_into_the_folder_of_its_training_meets_itself(
    library: Library, concept: Concept
) -> None:
    folder = library.begin()
    first = library.add(concept, folder=folder)
    again = library.add(concept, folder=folder)
    assert (again.id, again.folder) == (first.id, folder)
    assert library.add(concept, folder=folder, overwrite=True).id == first.id
    assert [entry.id for entry in library.entries()] == [first.id]
    assert library.deleted() == []


def test_a_half_precision_file_too_large_in_single_precision_is_kept_as_it_is(
    library: Library, concept: Concept, tmp_path: Path
) -> None:
    gift = tmp_path / "gift.safetensors"
    save_concept(large(concept, 3_000_000), gift, "float16")
    assert 4e6 < gift.stat().st_size < MAX_FILE_BYTES
    entry = library.import_file(gift)
    assert entry.load().content_hash == load_concept(gift).content_hash
    assert library.rename("biscuit", "keks").size < MAX_FILE_BYTES
    assert library.damaged() == []


def test_a_concept_too_large_to_be_read_back_is_refused_before_anything_is_made(
    library: Library, concept: Concept
) -> None:
    import torch

    whole = large(concept, 3_000_000)
    values = {path: value + torch.linspace(0, 1e-6, len(value)) for path, value in whole.values.items()}
    odd = Concept(whole.metadata, whole.target_input, whole.embedding, whole.superclass_encoding, values)
    with pytest.raises(ConceptError, match=r"<biscuit> cannot be kept.*8 MB.*Nothing was changed"):
        library.add(odd, thumbnail=Image.new("RGB", (8, 8)))
    assert everything(library) == []


def test_a_header_that_would_grow_too_long_is_refused_and_the_concept_stays(
    library: Library, concept: Concept
) -> None:
    notes = "\u0939" * 2000  # three bytes each
    path = "down_blocks_with_a_long_name" + ".part_of_a_long_path" * 4
    values = {f"{path}.{'x' * 20}{k}": next(iter(concept.values.values())) for k in range(450)}
    wide = Concept(
        concept.metadata, concept.target_input, concept.embedding, concept.superclass_encoding, values
    )
    try:
        library.add(wide)
    except ConceptError:
        pytest.skip("its header is too long without the notes as well")
    before = [path.read_bytes() for path in everything(library) if path.is_file()]
    with pytest.raises(ConceptError, match="cannot be kept"):
        library.set_notes("biscuit", notes)
    assert [path.read_bytes() for path in everything(library) if path.is_file()] == before
    assert library.damaged() == []


@pytest.mark.parametrize("change", ["import", "duplicate", "add"])
def test_a_full_disk_leaves_no_folder_behind(
    library: Library, concept: Concept, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, change: str
) -> None:
    library.add(concept, thumbnail=Image.new("RGB", (8, 8)))
    gift = tmp_path / "gift.safetensors"
    save_concept(concept.with_metadata(name="gift"), gift)
    before = everything(library)

    def full(*_: Any, **__: Any) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    changes: dict[str, Callable[[], Any]] = {
        "import": lambda: library.import_file(gift),
        "duplicate": lambda: library.duplicate("biscuit", "copy"),
        "add": lambda: library.add(concept.with_metadata(name="other"), thumbnail=Image.new("RGB", (8, 8))),
    }
    with monkeypatch.context() as patch:
        patch.setattr("perfusion_core.files.os.fsync", full)
        with pytest.raises(PerfusionError, match="full"):
            changes[change]()
    assert everything(library) == before


def test_what_is_restored_takes_another_place_when_its_own_was_made_again(
    library: Library, concept: Concept
) -> None:
    entry = library.add(concept)
    deleted = library.delete("biscuit")
    (entry.folder / "run" / "front").mkdir(parents=True)
    back = library.restore(deleted.id)
    assert back.load().content_hash == concept.content_hash
    assert library.deleted() == []
    again = library.delete("biscuit")
    assert [one.id for one in library.deleted()] == [again.id]


def in_words(change: Callable[[], Any]) -> bool:
    """Whether a change was refused in a sentence for the user; any other error fails the test."""
    try:
        change()
    except PerfusionError as error:
        return str(error).rstrip().endswith(".")
    return False


@pytest.mark.parametrize("number", [errno.EROFS, errno.EIO, errno.ENOSPC, errno.EACCES])
@pytest.mark.parametrize("call", ["replace", "mkdir", "open"])
def test_what_the_disk_refuses_is_a_refusal_in_words_and_changes_nothing(
    library: Library,
    concept: Concept,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    call: str,
    number: int,
) -> None:
    library.add(concept)
    thrown = library.add(concept.with_metadata(name="thrown"))
    library.delete("thrown")
    gift = tmp_path / "gift.safetensors"
    save_concept(concept.with_metadata(name="gift"), gift)
    before = {path: path.read_bytes() for path in everything(library) if path.is_file()}

    def refuse(path: Any, *arguments: Any, **options: Any) -> None:
        raise OSError(number, os.strerror(number), str(path))

    real = os.open
    writing = os.O_WRONLY | os.O_RDWR | os.O_CREAT

    def open_(path: Any, flags: int, *arguments: Any, **options: Any) -> int:
        if flags & writing:
            refuse(path)
        return real(path, flags, *arguments, **options)

    changes: list[Callable[[], Any]] = [
        lambda: library.rename("biscuit", "keks"),
        lambda: library.delete("biscuit"),
        lambda: library.duplicate("biscuit", "copy"),
        lambda: library.import_file(gift),
        lambda: library.restore(thrown.id),
        lambda: library.set_notes("biscuit", "notes"),
        lambda: library.begin(),
        lambda: library.export("biscuit", tmp_path / "away" / "out.safetensors"),
    ]
    with monkeypatch.context() as patch:
        # before Python 3.11 Path.mkdir keeps the function of `os` that it began with
        patch.setattr(Path if call == "mkdir" else os, call, open_ if call == "open" else refuse)
        refused = 0
        for change in changes:
            refused += in_words(change)
    assert refused >= 3
    if call != "mkdir":  # without new folders some changes can still be made
        assert {path: path.read_bytes() for path in everything(library) if path.is_file()} == before


def test_a_damaged_or_linked_thumbnail_is_neither_shown_nor_copied(
    library: Library, concept: Concept, tmp_path: Path
) -> None:
    entry = library.add(concept, thumbnail=Image.new("RGB", (8, 8)))
    assert entry.thumbnail is not None
    secret = tmp_path / "secret.png"
    Image.new("RGB", (300, 300)).save(secret)
    file = entry.folder / "thumbnail.png"
    file.unlink()
    file.symlink_to(secret)
    assert library.get("biscuit").thumbnail is None
    assert library.duplicate("biscuit", "copy").thumbnail is None
    file.unlink()
    with file.open("wb") as large_file:
        large_file.truncate(300 * 2**20)
    assert library.get("biscuit").thumbnail is None
    file.write_bytes(b"\x89PNG nonsense")
    assert library.duplicate("biscuit", "second").thumbnail is None


def test_an_embedded_image_of_absurd_size_is_no_image(monkeypatch: pytest.MonkeyPatch) -> None:
    import base64
    import io

    from perfusion_core.studio.library.thumbnails import from_embedded

    buffer = io.BytesIO()
    Image.new("RGB", (64, 64)).save(buffer, format="WEBP")
    text = base64.b64encode(buffer.getvalue()).decode()
    assert from_embedded(text) is not None
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1000)  # Pillow refuses twice as many as a bomb
    assert from_embedded(text) is None


def test_the_library_is_the_users_alone(library: Library, concept: Concept) -> None:
    library.add(concept, thumbnail=Image.new("RGB", (8, 8)))
    library.delete("biscuit")
    library.add(concept)
    assert {path.stat().st_mode & 0o077 for path in everything(library)} == {0}
    assert (library.folder.stat().st_mode & 0o777, library.folder.parent.stat().st_mode & 0o777) == (
        0o700,
        0o700,
    )


def test_a_killed_begin_is_not_listed_and_goes_after_a_day(library: Library, concept: Concept) -> None:
    library.add(concept)
    dead = library.folder / ".new-0123"
    (dead / "run").mkdir(parents=True)
    library.add(concept.with_metadata(name="other"), folder=library.begin())
    assert library.unfinished() == []
    assert dead.exists()
    os.utime(dead, (0, 0))
    library.set_notes("biscuit", "a change")
    assert not dead.exists()


def test_a_beginning_that_fails_leaves_no_folder(library: Library) -> None:
    def refuse(folder: Path) -> None:
        (folder / "run" / "half").write_text("")
        raise LibraryError("No.")

    with pytest.raises(LibraryError, match=r"No\."):
        library.begin(refuse)
    assert everything(library) == []


def test_a_free_name_is_shortened_numbered_and_compared_in_any_case() -> None:
    assert free_name("biscuit", []) == "biscuit"
    assert free_name("biscuit", ["Biscuit", "biscuit-2"]) == "biscuit-3"
    assert free_name("biscuit", ["biscuit"], "-so-far") == "biscuit-so-far"
    assert free_name("x" * 39, ["x" * 39]) == "x" * 38 + "-2"
    assert free_name("x" * 40, ["x" * 40], "-so-far") == "x" * 33 + "-so-far"
    many = ["x" * 40, *(f"{'x' * (40 - len(f'-{k}'))}-{k}" for k in range(2, 120))]
    assert free_name("x" * 40, many) == "x" * 36 + "-120"


def test_bytes_in_half_precision_stay_what_the_compact_export_writes(
    library: Library, concept: Concept, tmp_path: Path
) -> None:
    library.add(concept)
    path = library.export("biscuit", tmp_path / "small.safetensors", precision="float16")
    assert path.read_bytes() == concept_bytes(concept, "float16")
