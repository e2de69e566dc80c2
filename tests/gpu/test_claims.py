"""The checks of test_card.py on tiny bases and a CPU, so that they are known to run and to tell right from
wrong before there is a card; and what is said where there is none.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from perfusion_core.model.base import Base
from tests import cards
from tests.gpu import claims
from tests.quick_recipe import WORD_AND_VALUES
from tests.tiny_concept import random_concept
from tests.tiny_families import tiny_family
from tests.tiny_model import tiny_pipeline

ROOT = Path(__file__).parents[2]


@pytest.fixture(params=["sd", "sdxl"])
def base(request: pytest.FixtureRequest) -> Base:
    return base_of(request.param)


def base_of(kind: str, seed: int = 0) -> Base:
    return Base(kind, tiny_pipeline(seed=seed) if kind == "sd" else tiny_family(kind, seed))


def recipe(base: Base, **settings: Any) -> Any:
    return claims.recipe_for(base, **{**WORD_AND_VALUES, "batch_size": 2, "accumulation": 1, **settings})


def test_teaching(base: Base, tmp_path: Path) -> None:
    claims.is_taught(base, recipe(base, steps=2), tmp_path)
    with pytest.raises(AssertionError):
        claims.is_taught(base, recipe(base, steps=2, embedding_rate=0.0), tmp_path / "still")


def test_going_on(base: Base, tmp_path: Path) -> None:
    claims.goes_on(base, recipe(base, steps=3), tmp_path)


def test_concepts_act_and_leave(base: Base, monkeypatch: pytest.MonkeyPatch) -> None:
    claims.concepts_act_and_leave(base, 64)
    monkeypatch.setattr(claims, "TAUGHT", claims.PLAIN)
    with pytest.raises(AssertionError):
        claims.concepts_act_and_leave(base, 64)


def test_every_gate_has_its_image() -> None:
    base = base_of("sd")
    claims.every_gate_has_its_image(
        base, random_concept(base), "a photo of a <biscuit>", claims.statistics(base)
    )


def test_images_of_one_base_are_alike_and_of_two_are_not() -> None:
    base, again, other = base_of("sd"), base_of("sd"), base_of("sd", seed=1)
    told = (random_concept(base), "a photo of a <biscuit>", claims.statistics(base))
    assert claims.difference((base, again), *told) == 0
    assert claims.difference((base, other), *told) > 1


@pytest.mark.parametrize("kind", ["sdxl", "pixart-sigma"])  # two encoders; text that is changed first
def test_nothing_is_left_on_the_cpu_by_a_base_on_another_device(kind: str) -> None:
    program = [sys.executable, "-m", "tests.gpu.simulated_card", kind]
    result = subprocess.run(program, cwd=ROOT, capture_output=True, text=True, check=False)
    assert result.stdout.splitlines()[-1:] == [f"{kind}: nothing is left on the CPU"], result.stderr[-3000:]


def test_without_a_card_the_claim_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert cards.reason_to_skip("a claim", gb=12) == "no CUDA card: a claim"


def test_a_smaller_card_than_the_claim_is_for_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    there = SimpleNamespace(total_memory=8.2e9)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda _device: there)
    assert cards.reason_to_skip("a claim", gb=12) == "this card has 8.2 of 12 GB: a claim"
    assert cards.reason_to_skip("a claim", gb=8) == cards.reason_to_skip("a claim") == ""


def test_a_run_ends_with_how_many_card_tests_did_not_run() -> None:
    reasons = ["no CUDA card: teaching", "there is no Chromium here", "this card has 8.2 of 12 GB: teaching"]
    assert cards.summary(reasons) == (
        "1 card test did not run: there is no CUDA card here. On a machine with one: python -m pytest -m gpu"
    )
    assert cards.summary(reasons * 2).startswith("2 card tests did not run")
    assert cards.summary(["there is no Chromium here"]) == ""
