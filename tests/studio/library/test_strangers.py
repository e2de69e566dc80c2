"""Concept files from anyone: what is refused at import leaves the library as it was."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from perfusion_core.concept import concept_bytes
from perfusion_core.errors import PerfusionError
from perfusion_core.studio.library.library import CONCEPT_FILE, Library
from tests.tiny_concept import random_concept


def with_facts(content: bytes, **facts: Any) -> bytes:
    """The same concept file saying something else about itself."""
    length = int.from_bytes(content[:8], "little")
    header = json.loads(content[8 : 8 + length])
    described = json.loads(header["__metadata__"]["perfusion_concept"])
    header["__metadata__"]["perfusion_concept"] = json.dumps({**described, **facts})
    encoded = json.dumps(header).encode()
    return len(encoded).to_bytes(8, "little") + encoded + content[8 + length :]


@pytest.fixture
def library(tmp_path: Path, tiny_base: Any) -> Library:
    library = Library(tmp_path / "home")
    library.add(random_concept(tiny_base, "mug"))
    return library


@pytest.fixture
def content(tiny_base: Any) -> bytes:
    return concept_bytes(random_concept(tiny_base, "biscuit"))


def files(library: Library) -> set[Path]:
    return {path for path in library.folder.rglob("*") if path.name == CONCEPT_FILE}


@pytest.mark.parametrize("recipe", [{"steps": 1e308}, {"steps": "many"}, {"seed": -1}, {"flip": "maybe"}])
def test_a_recipe_that_cannot_be_is_refused_at_import(
    library: Library, content: bytes, tmp_path: Path, recipe: dict[str, Any]
) -> None:
    before = files(library)
    path = tmp_path / "gift.safetensors"
    path.write_bytes(with_facts(content, recipe=recipe))
    with pytest.raises(PerfusionError, match=rf"gift\.safetensors.*{next(iter(recipe))}"):
        library.import_file(path)
    assert files(library) == before


def test_such_a_file_placed_by_hand_hides_only_itself_and_says_why(library: Library, content: bytes) -> None:
    (library.folder / "placed").mkdir()
    (library.folder / "placed" / CONCEPT_FILE).write_bytes(with_facts(content, recipe={"steps": 1e308}))
    assert [entry.name for entry in library.entries()] == ["mug"]
    assert "steps must be a whole number" in library.damaged()[0]


def test_a_folder_whose_name_is_no_text_hides_only_itself_and_says_why(
    library: Library, content: bytes
) -> None:
    folder = library.folder / os.fsdecode(b"caf\xe9")
    try:
        folder.mkdir()
    except OSError:
        pytest.skip("this file system takes only names that are text")
    (folder / CONCEPT_FILE).write_bytes(content)
    assert [entry.name for entry in library.entries()] == ["mug"]
    (problem,) = library.damaged()
    assert r"caf\udce9" in problem
    assert "Rename it" in problem


@pytest.mark.parametrize("overwrite", [False, True])
def test_a_name_that_looks_like_a_taken_one_is_refused(
    library: Library, tiny_base: Any, overwrite: bool
) -> None:
    library.add(random_concept(tiny_base, "cop"))
    before = files(library)
    for spelling in ("сор", "cоp"):  # all in Cyrillic; with one Cyrillic letter
        with pytest.raises(PerfusionError, match=r"looks like <cop>|mixes Cyrillic and Latin"):
            library.add(random_concept(tiny_base, spelling), overwrite=overwrite)
        with pytest.raises(PerfusionError, match=r"looks like <cop>|mixes Cyrillic and Latin"):
            library.rename("mug", spelling)
        with pytest.raises(PerfusionError, match=r"looks like <cop>|mixes Cyrillic and Latin"):
            library.duplicate("mug", spelling)
    assert files(library) == before
    assert library.rename("cop", "сор").name == "сор"  # itself in other letters is no other


@pytest.mark.parametrize("superclass", [" ", "", "  dog", "two  spaces", "dog\t"])
def test_a_superclass_that_is_no_word_is_refused_at_import(
    library: Library, content: bytes, tmp_path: Path, superclass: str
) -> None:
    path = tmp_path / "gift.safetensors"
    path.write_bytes(with_facts(content, superclass=superclass))
    with pytest.raises(PerfusionError, match=r"gift\.safetensors.*superclass"):
        library.import_file(path)
