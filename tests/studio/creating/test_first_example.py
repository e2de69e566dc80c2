"""The example of a first visit: it is what the form makes, and it goes when that is no longer so."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from perfusion_core.model.listing import pocket_folder
from perfusion_core.sampling.png import read_recipe
from perfusion_core.sampling.repeat import differences, repeat
from perfusion_core.studio.creating.first_example import IMAGE, first_example
from perfusion_core.studio.library.bundled import welcome
from perfusion_core.studio.library.library import Library
from perfusion_core.studio.settings import Settings


@pytest.fixture
def library(tmp_path: Path) -> Library:
    library = Library(tmp_path)
    welcome(library)
    return library


def test_a_new_library_has_an_example_with_its_photos(library: Library, tmp_path: Path) -> None:
    example = first_example(library, Settings(home=tmp_path))
    assert example is not None
    assert "wearing a crown" in example.recipe.prompt
    assert len(example.photos) == 5
    assert library.load("blaze").metadata.superclass == example.recipe.concepts[0].superclass


def test_there_is_none_without_its_concept_or_on_another_base(library: Library, tmp_path: Path) -> None:
    assert first_example(library, Settings(home=tmp_path, base="another")) is None
    assert first_example(library, Settings(home=tmp_path), tmp_path / "missing.png") is None
    library.rename("blaze", "flame")
    assert first_example(library, Settings(home=tmp_path)) is None
    library.rename("trekker", "blaze")
    assert first_example(library, Settings(home=tmp_path)) is None


def test_there_is_none_once_the_concept_has_another_bias_than_the_images(
    library: Library, tmp_path: Path
) -> None:
    library.set_bias("blaze", "local", 0.5)
    assert first_example(library, Settings(home=tmp_path)) is None


def test_the_page_needs_no_torch_for_it(library: Library, tmp_path: Path) -> None:
    program = (
        "import sys; from pathlib import Path; from perfusion_core.studio.library.library import Library\n"
        "from perfusion_core.studio.creating.first_example import first_example\n"
        "from perfusion_core.studio.settings import Settings\n"
        "home = Path(sys.argv[1])\n"
        "assert first_example(Library(home), Settings(home=home)) is not None\n"
        "sys.exit('torch' in sys.modules)"
    )
    root = Path(__file__).parents[3]
    subprocess.run([sys.executable, "-c", program, str(tmp_path)], check=True, cwd=root)


@pytest.mark.skipif(
    not (pocket_folder() / "model_index.json").is_file(), reason="the pocket model is not here"
)
def test_its_recipe_makes_the_image_again(library: Library) -> None:
    from perfusion_core.model.base import load_base

    base = load_base("pocket", device="cpu")
    recipe = read_recipe(IMAGE)
    concepts = {used.name: library.load(used.name) for used in recipe.concepts}
    assert differences(recipe, base, concepts) == []
    (again,) = repeat(base, concepts, recipe).images
    with Image.open(IMAGE) as there:
        apart = np.abs(np.asarray(again.image, float) - np.asarray(there.convert("RGB"), float))
    assert apart.mean() < 2  # of 255; other processors round otherwise
