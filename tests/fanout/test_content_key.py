"""What a result is known by: everything that it depends on, and nothing else."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from perfusion_core.fanout.content_key import batch_form, teaching_key
from perfusion_core.fanout.estimate import estimate
from perfusion_core.fanout.loaded_base import BaseFacts
from perfusion_core.fanout.manifest import Line
from perfusion_core.fanout.teach_all import Item
from perfusion_core.model.families.stable_diffusion import STABLE_DIFFUSION
from perfusion_core.training.recipe import Recipe

LINE = Line(2, "ada", "dog", (), ("digest of a photo",), settings={"steps": 60})
DESCRIPTION: Any = SimpleNamespace(text_width=768, image_size=512, few_steps=None, family=STABLE_DIFFUSION)
BASE = BaseFacts(
    "tiny", "fingerprint", DESCRIPTION, "clip", "cpu", np.eye(2, dtype=np.float32), "of the text", 1.0
)


@pytest.mark.parametrize(
    "change",
    [
        {"name": "bea"},
        {"superclass": "cat"},
        {"digests": ("of another photo",)},
        {"digests": ("digest of a photo", "of another photo")},
        {"mask": "none"},
        {"pace": "quick", "settings": {}},
        {"settings": {"steps": 61}},
        {"settings": {"steps": 60, "seed": 1}},
        {"settings": {"steps": 60, "templates": "a photo of {}"}},
    ],
)
def test_photos_names_and_recipe_change_the_key(change: dict[str, Any]) -> None:
    assert teaching_key(replace(LINE, **change), BASE) != teaching_key(LINE, BASE)


@pytest.mark.parametrize("change", [{"fingerprint": "x"}, {"covariance_fingerprint": "x"}, {"scorer": ""}])
def test_base_text_and_scorer_change_the_key(change: dict[str, Any]) -> None:
    assert teaching_key(LINE, replace(BASE, **change)) != teaching_key(LINE, BASE)


def test_where_it_was_found_and_a_default_written_out_do_not_change_the_key() -> None:
    rate = Recipe.preset(DESCRIPTION).value_rate
    moved = replace(LINE, number=9, bytes=3, settings={"steps": 60, "value_rate": rate})
    assert teaching_key(moved, replace(BASE, name="elsewhere", device="cuda")) == teaching_key(LINE, BASE)


def test_concepts_may_share_a_batch_whatever_they_learn_but_not_in_another_form() -> None:
    form = batch_form(LINE, BASE)
    assert batch_form(replace(LINE, name="bea", settings={"seed": 3, "batch_size": 2}), BASE) == form
    for name, value in (("resolution", 256), ("precision", "float32"), ("gradient_checkpointing", True)):
        assert batch_form(replace(LINE, settings={name: value}), BASE) != form


def test_more_in_a_batch_keep_more_checkpoints_on_the_way() -> None:
    items = [Item(str(number), LINE) for number in range(5)]
    measured = {"step": 1.0, "checkpoint": 0.0, "fixed": 0.0, "bytes": 300, "kept": 1000}
    found = [estimate(items, BASE, measured, workers=2, together=together) for together in (1, 2, 4)]
    assert [each.peak_bytes - each.bytes for each in found] == [2000, 4000, 5000]
    assert {each.work for each in found} == {300.0}
