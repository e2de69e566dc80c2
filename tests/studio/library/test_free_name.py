"""A name the library does not have."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from perfusion_core.concept import validate_name
from perfusion_core.studio.library.library import Library
from tests.tiny_concept import random_concept


def test_a_taken_name_gets_a_number_and_a_long_one_is_shortened_for_it(
    tmp_path: Path, tiny_base: Any
) -> None:
    library = Library(tmp_path)
    assert library.free_name("mug") == "mug"
    library.add(random_concept(tiny_base, name="mug"))
    assert library.free_name("mug") == "mug-2"
    library.add(random_concept(tiny_base, name="mug-2"))
    assert library.free_name("mug") == "mug-3"
    long = "a" * 39
    library.add(random_concept(tiny_base, name=long))
    assert library.free_name(long) == validate_name("a" * 38 + "-2")


def test_a_name_that_looks_like_a_taken_one_is_not_free(tmp_path: Path, tiny_base: Any) -> None:
    library = Library(tmp_path)
    library.add(random_concept(tiny_base, name="сор"))  # Cyrillic
    assert library.free_name("cop") == "cop-2"
    library.add(random_concept(tiny_base, name="cop-2"))
    assert library.free_name("cop") == "cop-3"
    assert library.free_name("сор") == "сор-3"
