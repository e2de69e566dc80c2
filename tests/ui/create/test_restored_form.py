"""An image's recipe back in the form: exact, or saying what is not."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from perfusion_core.sampling.png import ForeignRecipe, ImageRecipe, UsedConcept
from perfusion_core.studio.app import Studio
from perfusion_core.studio.settings import Settings
from perfusion_core.ui.create.form_values import Asked
from perfusion_core.ui.create.images import in_use
from perfusion_core.ui.create.restored_form import RestoredForm, restored_form
from tests.tiny_concept import random_concept


@pytest.fixture
def studio(tmp_path: Path, tiny_base: Any) -> Studio:
    """A library with <biscuit>, whose gate temperature is 0.15; no base model is loaded."""
    studio = Studio(Settings(home=tmp_path))
    studio.library.add(random_concept(tiny_base, temperature=0.15))
    return studio


def recipe(studio: Studio, bias: float = 0.4, temperature: float = 0.15, **changes: Any) -> ImageRecipe:
    entry = studio.library.get("biscuit")
    used = UsedConcept(
        name="biscuit",
        superclass=entry.metadata.superclass,
        content_hash=entry.load().content_hash,
        bias=bias,
        temperature=temperature,
    )
    facts: dict[str, Any] = {
        "prompt": "a sketch of <Biscuit:0.9>",
        "seed": 77,
        "steps": 9,
        "guidance": 3.0,
        "width": 128,
        "height": 96,
        "scheduler": "ddim",
        "removal": "gated",
        "concepts": [used],
        "base": "pocket",
        "base_fingerprint": "f",
    }
    return ImageRecipe(**{**facts, **changes})


def asked(form: RestoredForm) -> Any:
    """The request that Create would make of the form."""
    return Asked.of(form.prompt, form.values).request(in_use(form.prompt, form.positions))


def test_a_recipe_within_the_forms_bounds_comes_back_whole(studio: Studio) -> None:
    form = restored_form(recipe(studio), studio)
    assert form.lost == []
    assert form.prompt == "a sketch of <Biscuit>"
    request = asked(form)
    assert (request.seed, request.steps, request.guidance) == (77, 9, 3.0)
    assert (request.width, request.height, request.scheduler) == (128, 96, "ddim")
    assert request.biases == {"biscuit": 0.4}


def test_a_gate_bias_between_two_positions_of_the_slider_is_written_into_the_prompt(studio: Studio) -> None:
    form = restored_form(recipe(studio, bias=0.6543), studio)
    assert form.prompt == "a sketch of <Biscuit:0.6543>"
    assert form.lost == []
    assert asked(form).biases == {}  # the number in the prompt counts
    beyond = restored_form(recipe(studio, bias=1.8), studio)
    assert beyond.prompt == "a sketch of <Biscuit:1.8>"


def test_a_concept_drawn_at_its_own_setting_keeps_a_slider_that_moves(studio: Studio) -> None:
    studio.library.set_bias("biscuit", "local", 0.7654)  # between two positions of the slider
    form = restored_form(recipe(studio, bias=0.7654), studio)
    assert form.prompt == "a sketch of <Biscuit>"
    assert form.positions == {}
    assert asked(form).biases == {}  # so the concept's own setting counts
    assert form.lost == []


def test_a_seed_that_javascript_cannot_hold_stays_exact(studio: Studio) -> None:
    form = restored_form(recipe(studio, seed=2**63 - 1), studio)
    assert form.lost == []
    assert asked(form).seed == 2**63 - 1


@pytest.mark.parametrize(
    ("changes", "words", "field", "value"),
    [
        ({"steps": 150}, "Steps: 150 in the image; Create goes to 100", "steps", 100),
        ({"guidance": 25.5}, "Guidance: 25.5 in the image; Create goes to 20", "guidance", 20),
        ({"width": 4096}, "Width: 4096 in the image; Create goes to 2048", "width", 2048),
        ({"width": 32}, "Width: 32 in the image; Create takes 64 or more", "width", 64),
        ({"height": 20}, "Height: 20 in the image; Create takes 64 or more", "height", 64),
        ({"width": 100}, "Width: 100 in the image; Create takes multiples of 8", "width", 96),
        ({"width": 2047}, "Width: 2047 in the image; Create takes multiples of 8", "width", 2040),
        (
            {"negative_prompt": "n" * 3000},
            "Negative prompt: 3000 characters in the image; Create takes 2000",
            "negative_prompt",
            "n" * 3000,
        ),
        ({"prompt": " "}, "Prompt: there is none in the image; Create needs one", "width", 128),
        ({"scheduler": "heun"}, "Scheduler: “heun” in the image", "scheduler", ""),
        ({"removal": "paper"}, "Removal: “paper” in the image; Create uses “gated”", "lock", "local"),
        ({"temperature": 0.3}, "temperature of <biscuit>: 0.3 in the image; .* own, 0.15", "lock", "local"),
        ({"base": "other"}, "Base model: other in the image; pocket is in use", "lock", "local"),
    ],
)
def test_what_the_form_cannot_give_back_is_said(
    studio: Studio, changes: dict[str, Any], words: str, field: str, value: Any
) -> None:
    import re

    form = restored_form(recipe(studio, **changes), studio)
    assert len(form.lost) == 1
    assert re.search(words, form.lost[0])
    assert form.values[field] == value  # a form that can be sent


def test_a_size_is_one_that_the_base_in_memory_draws(studio: Studio, monkeypatch: pytest.MonkeyPatch) -> None:
    coarse = SimpleNamespace(
        id="pocket",
        fingerprint="f",
        device=SimpleNamespace(type="cpu"),
        dtype="torch.float32",
        description=SimpleNamespace(size_step=96),
    )
    monkeypatch.setattr(Studio, "base", coarse)
    form = restored_form(recipe(studio, width=192, height=80), studio)
    assert form.lost == ["Height: 80 in the image; Create takes multiples of 96."]
    assert (form.values["width"], form.values["height"]) == (192, 96)
    large = restored_form(recipe(studio, width=4096, height=96), studio)
    assert large.lost == ["Width: 4096 in the image; Create goes to 2048."]
    assert large.values["width"] == 2016


def test_another_tools_long_negative_prompt_is_said(studio: Studio) -> None:
    form = restored_form(ForeignRecipe(prompt="a dog", negative_prompt="n" * 9000), studio)
    assert form.lost == ["Negative prompt: 9000 characters in the image; Create takes 2000."]


@pytest.mark.parametrize("guidance", [0.0, 1.0])
def test_an_image_without_guidance_is_asked_for_without_it(studio: Studio, guidance: float) -> None:
    # 0 in the form leaves it to the base, which may want 7.5; up to 1 there is none
    assert asked(restored_form(recipe(studio, guidance=guidance), studio)).guidance == 1.0


def test_schedulers_of_few_steps_and_a_bases_own_come_back(studio: Studio) -> None:
    assert asked(restored_form(recipe(studio, scheduler="lcm"), studio)).scheduler == "lcm"
    own = restored_form(recipe(studio, scheduler="own"), studio)
    assert own.lost == []
    assert asked(own).scheduler is None


def test_a_concept_that_is_gone_is_named(studio: Studio) -> None:
    made = recipe(studio)
    studio.library.delete("biscuit")
    assert any("<biscuit>" in words for words in restored_form(made, studio).lost)


def test_a_concept_that_was_taught_again_is_named(studio: Studio) -> None:
    made = recipe(studio)
    used = made.concepts[0].model_copy(update={"content_hash": "0" * 64})
    lost = restored_form(made.model_copy(update={"concepts": [used]}), studio).lost
    assert any("<biscuit>" in words and "taught again" in words for words in lost)


def test_another_tools_sampler_is_named_and_what_it_did_not_say_is_left_to_the_base(studio: Studio) -> None:
    form = restored_form(ForeignRecipe(prompt="a dog", sampler="Euler a"), studio)
    assert form.lost == ["Scheduler: “Euler a” in the image; Create takes the base model's own."]
    assert asked(form).steps is None
