"""A concept from anyone in the form once more."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import gradio as gr
import orjson
import pytest

from perfusion_core.concept import save_concept
from perfusion_core.studio.app import Studio
from perfusion_core.studio.settings import Settings
from perfusion_core.ui.served import Served
from perfusion_core.ui.teach.room import render
from perfusion_core.ui.teach.teach_again import teach_again
from tests.tiny_concept import random_concept

RECIPES: list[dict[str, Any]] = [
    {},
    {"steps": 10_000, "seed": 2**63 - 1, "flip": False, "mask": "given", "keys": "trained"},
    {"of_a_newer_version": 1e308, "another": "words"},
]


@pytest.mark.parametrize("recipe", RECIPES)
def test_whatever_an_accepted_file_says_can_be_sent_to_the_page(
    tmp_path: Path, tiny_base: Any, recipe: dict[str, Any]
) -> None:
    studio = Studio(Settings(home=tmp_path / "home"))
    save_concept(random_concept(tiny_base, recipe=recipe), tmp_path / "gift.safetensors")
    studio.library.import_file(tmp_path / "gift.safetensors")
    served = Served(tmp_path / "served")
    with gr.Blocks(), gr.Tabs() as rooms, gr.Tab("Teach"):
        teach = render(studio, served)
    values = teach_again(teach, rooms, studio, served, "biscuit")
    numbers = [value for value in values.values() if isinstance(value, (int, float))]
    assert numbers
    assert orjson.loads(orjson.dumps(numbers)) == numbers
    assert values[teach.form.seed] == str(recipe.get("seed", 0))
