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
