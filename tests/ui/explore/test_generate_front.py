"""Explore's form follows the concepts that are chosen."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import gradio as gr
import pytest

from perfusion_core.studio.app import Studio
from perfusion_core.studio.readiness import Readiness
from perfusion_core.studio.settings import Settings
from perfusion_core.ui.page import build_page
from perfusion_core.ui.served import Served
from tests.tiny_concept import random_concept
from tests.ui.listeners import listeners


@pytest.mark.parametrize(
    ("name", "against", "typed", "after"),
    [
        ("mug", "", "a sketch of <mug>", "a sketch of <mug>"),
        ("mug", "rex", "<rex> on a <mug:0.3>", "<rex> on a <mug:0.3>"),
        ("mug", "mug", "a sketch of <mug>", "a sketch of <mug>"),
        ("rex", "", "a sketch of <mug>", "a photo of a <rex> on the beach"),
        ("mug", "rex", "a sketch of <mug>", "a photo of a <mug> next to a <rex>"),
        ("mug", "", "a <mug> and <rex>", "a photo of a <mug> on the beach"),
        ("mug", "", "a dog", "a photo of a <mug> on the beach"),
    ],
)
def test_a_prompt_typed_for_what_is_chosen_stays(
    tiny_base: Any, tmp_path: Path, name: str, against: str, typed: str, after: str
) -> None:
    studio = Studio(Settings(home=tmp_path))
    for concept in ("mug", "rex"):
        studio.library.add(random_concept(tiny_base, concept))
    demo = build_page(studio, Served(tmp_path / "served"), Readiness(studio))
    (field,) = [one for one in demo.blocks.values() if getattr(one, "elem_id", None) == "explore-name"]
    (listener,) = listeners(demo, field, "input")
    (prompt,) = [one for one in listener.outputs if isinstance(one, gr.Textbox)]
    assert listener.fn(name, against, typed)[prompt] == after
