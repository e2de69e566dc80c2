"""A name the library does not have."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from perfusion_core.concept import validate_name
from perfusion_core.studio.library.library import Library
from perfusion_core.ui.free_name import free_name
from tests.tiny_concept import random_concept


def test_a_taken_name_gets_a_number_and_a_long_one_is_shortened_for_it(
    tmp_path: Path, tiny_base: Any
) -> None:
    library = Library(tmp_path)
    assert free_name(library, "mug") == "mug"
    library.add(random_concept(tiny_base, name="mug"))
    assert free_name(library, "mug") == "mug-2"
    library.add(random_concept(tiny_base, name="mug-2"))
    assert free_name(library, "mug") == "mug-3"
    long = "a" * 39
    library.add(random_concept(tiny_base, name=long))
    assert free_name(library, long) == validate_name("a" * 38 + "-2")
