"""Settings of a teaching: presets, checks, and the trip into a concept file and back."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest

from perfusion_core.errors import TrainingError
from perfusion_core.model.families.cosmos import COSMOS
from perfusion_core.model.families.description import Family
from perfusion_core.model.families.pixart import PIXART
from perfusion_core.model.families.sana import SANA, SANA_SPRINT
from perfusion_core.model.families.sdxl import SDXL
from perfusion_core.model.families.stable_diffusion import STABLE_DIFFUSION
from perfusion_core.model.few_steps import FewSteps
from perfusion_core.training.recipe import TEMPLATES, VALIDATION_PROMPTS, Recipe


@dataclass
class Facts:
    text_width: int = 768
    image_size: int = 512
    few_steps: FewSteps | None = None
    family: Family = STABLE_DIFFUSION


def test_stable_diffusion_preset_is_the_papers_table() -> None:
    recipe = Recipe.preset(Facts())
    assert (recipe.value_rate, recipe.embedding_rate) == (0.03, 0.006)
    assert recipe.batch_size * recipe.accumulation == 16
    assert (recipe.steps, recipe.checkpoint_every, len(recipe.validation_prompts)) == (400, 25, 8)
    assert recipe.decay == pytest.approx(0.99)
    assert (recipe.bias, recipe.temperature, recipe.inference_temperature) == (0.75, 0.1, 0.15)
    assert (recipe.keys, recipe.flip, recipe.mask, recipe.warmup) == ("locked", True, "auto", 0)
    assert recipe.resolution == 512


@pytest.mark.parametrize("memory", [0.1, 2, 4, 6, 8, 12, 16, 24, None])
@pytest.mark.parametrize("size", [256, 512, 768])
def test_memory_presets_keep_sixteen_examples_a_step(memory: float | None, size: int) -> None:
    recipe = Recipe.preset(Facts(image_size=size), memory)
    assert recipe.batch_size * recipe.accumulation == 16


@pytest.mark.parametrize(
    ("memory", "resolution", "full_precision", "expected"),
    [  # what is free beside the weights -> batch size, accumulation, checkpointing
        (21.0, 512, False, (16, 1, False)),  # a 24 GB card
        (9.0, 512, False, (8, 2, False)),  # a 12 GB card
        (5.3, 512, False, (4, 4, False)),  # an 8 GB card
        (5.9, 512, True, (2, 8, False)),
        (2.5, 512, False, (1, 16, False)),
        (2.1, 512, False, (2, 8, True)),
        (1.8, 512, False, (1, 16, True)),
        (0.5, 512, False, (1, 16, True)),
        (10.5, 768, False, (4, 4, False)),  # measured: 8.6 for Stable Diffusion 2
        (9.0, 768, False, (2, 8, False)),
        (4.2, 768, False, (1, 16, False)),
        (4.1, 768, False, (2, 8, True)),
        (3.3, 768, False, (2, 8, True)),
        (3.2, 768, False, (1, 16, True)),
        (3.1, 512, True, (2, 8, True)),
        (5.3, 256, False, (16, 1, False)),
    ],
)
def test_batches_are_as_large_as_measured_activations_allow(
    memory: float, resolution: int, full_precision: bool, expected: tuple[int, int, bool]
) -> None:
    recipe = Recipe.preset(Facts(), memory, resolution=resolution, full_precision=full_precision)
    assert (recipe.batch_size, recipe.accumulation, recipe.gradient_checkpointing) == expected


def test_a_batch_that_was_asked_for_stays_as_it_is() -> None:
    recipe = Recipe.preset(Facts(), 2.0, batch_size=6, accumulation=2, gradient_checkpointing=False)
    assert (recipe.batch_size, recipe.accumulation, recipe.gradient_checkpointing) == (6, 2, False)


def test_a_base_of_few_steps_is_validated_in_few_and_guidance_can_be_set() -> None:
    recipe = Recipe.preset(Facts(few_steps=FewSteps("lightning", 2)))
    assert (recipe.validation_steps, recipe.validation_guidance) == (2, None)
    assert "validation_guidance" not in recipe.to_dict()
    asked = Recipe.preset(Facts(), validation_guidance=3)
    assert Recipe.from_dict(asked.to_dict()).validation_guidance == 3
    with pytest.raises(TrainingError, match="validation_guidance is -1"):
        Recipe.preset(Facts(), validation_guidance=-1)


def test_less_memory_never_asks_for_more() -> None:
    found = [Recipe.preset(Facts(), memory) for memory in (1, 2, 3, 6, 8, 12, 24)]
    asked = [(not recipe.gradient_checkpointing, recipe.batch_size) for recipe in found]
    assert asked == sorted(asked)


def test_decay_follows_the_number_of_steps() -> None:
    usual = Recipe.preset(Facts())
    short = Recipe.preset(Facts(), steps=40)
    assert (1 - short.decay) * short.steps == pytest.approx((1 - usual.decay) * usual.steps)
    assert Recipe.preset(Facts(), steps=40, decay=0.5).decay == 0.5
    assert Recipe.preset(Facts(), steps=1).decay == 0.0


def test_small_bases_get_their_own_preset_at_their_own_size() -> None:
    recipe = Recipe.preset(Facts(text_width=192, image_size=128))
    assert recipe.resolution == 128
    assert recipe.steps < 400
    assert (recipe.embedding_rate, recipe.flip) == (0.0, False)
    assert recipe.offset_rate > recipe.value_rate


def test_a_recipe_survives_the_trip_into_a_concept_file() -> None:
    recipe = Recipe.preset(Facts(), steps=77, flip=False, templates=("a photo of {}", "my {}"))
    plain = recipe.to_dict()
    assert Recipe.from_dict(plain) == recipe
    assert all(isinstance(value, (str, int, float, bool)) for value in plain.values())
    assert all(len(value) <= 500 and "\n" not in value for value in plain.values() if isinstance(value, str))


@pytest.mark.parametrize(
    "wrong",
    [
        {"steps": 0},
        {"steps": 1.5},
        {"steps": True},
        {"steps": "many"},
        {"batch_size": 0},
        {"accumulation": -1},
        {"value_rate": -0.1},
        {"value_rate": float("nan")},
        {"embedding_rate": float("inf")},
        {"decay": 1.0},
        {"temperature": 0.0},
        {"resolution": 8},
        {"seed": -1},
        {"checkpoint_every": 0},
        {"removal": "half"},
        {"keys": "loose"},
        {"mask": "yes"},
        {"precision": "float64"},
        {"flip": "no"},
        {"gradient_checkpointing": 1},
        {"templates": ()},
        {"templates": ("a photo",)},
        {"templates": ("{} and {}",)},
        {"templates": ("a <dog> {}",)},
        {"templates": ("x" * 600 + "{}",)},
        {"validation_prompts": ("a | {}",)},
        {"templates": (1, 2)},
        {"templates": 5},
        {"steps": 10**5000},
        {"mask": []},
        {"mask": "\x1b[31m" * 500},
    ],
)
def test_settings_that_cannot_be_are_refused_by_name(wrong: dict[str, Any]) -> None:
    with pytest.raises(TrainingError, match=next(iter(wrong))) as refused:
        Recipe.preset(Facts(), **wrong)
    assert str(refused.value).isprintable()
    assert len(str(refused.value)) < 250


@pytest.mark.parametrize("settings", [[], "steps", None, {"steps": [1]}, {"templates": [["a {}"]]}])
def test_settings_of_another_shape_are_refused(settings: Any) -> None:
    with pytest.raises(TrainingError):
        Recipe.from_dict(settings)


@pytest.mark.parametrize("width", [192, 768])
def test_the_quick_pace_takes_half_the_steps_and_lets_the_superclass_go_as_well(width: int) -> None:
    quick, balanced = (Recipe.preset(Facts(text_width=width), pace=pace) for pace in ("quick", "balanced"))
    assert quick.steps == balanced.steps // 2
    assert (1 - quick.decay) * quick.steps == pytest.approx((1 - balanced.decay) * balanced.steps)
    assert Recipe.preset(Facts(text_width=width), pace="quick", steps=7).steps == 7


def test_unknown_settings_are_refused_with_the_known_ones() -> None:
    with pytest.raises(TrainingError, match=r"stepz.*value_rate"):
        Recipe.preset(Facts(), stepz=3)
    with pytest.raises(TrainingError, match="stepz"):
        Recipe.from_dict({"stepz": 3})


def test_every_template_and_prompt_takes_the_concept_once() -> None:
    for line in (*TEMPLATES, *VALIDATION_PROMPTS):
        assert line.count("{}") == 1
    assert len(set(TEMPLATES)) == len(TEMPLATES)


@pytest.mark.parametrize("family", [SDXL, PIXART, SANA, SANA_SPRINT, COSMOS], ids=lambda family: family.name)
def test_every_family_has_presets_by_memory_that_see_sixteen_examples(family: Family) -> None:
    facts = Facts(text_width=1152, image_size=1024, family=family)
    found = [Recipe.preset(facts, memory) for memory in (0.1, 1.5, 2, 4, 8, 16, 32, 80)]
    assert all(recipe.batch_size * recipe.accumulation == 16 for recipe in [*found, Recipe.preset(facts)])
    assert all(recipe.resolution == 1024 for recipe in found)
    assert (found[0].batch_size, found[0].gradient_checkpointing) == (1, True)
    assert not found[-1].gradient_checkpointing
    fast = [(not recipe.gradient_checkpointing, recipe.batch_size) for recipe in found]
    assert fast == sorted(fast)
    # A step in full precision keeps twice as much.
    assert Recipe.preset(facts, 8.0, full_precision=True).gradient_checkpointing
