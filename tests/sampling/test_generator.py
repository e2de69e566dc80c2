from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch

from perfusion_core.errors import PerfusionError, PromptError
from perfusion_core.model.base import Base
from perfusion_core.model.describe import cross_attentions
from perfusion_core.model.schedulers import make_scheduler
from perfusion_core.sampling.generator import generate
from perfusion_core.sampling.plan import make_plan
from perfusion_core.sampling.repeat import repeat
from perfusion_core.sampling.request import GenerationRequest
from tests.sampling.asking import PROMPT, ask, bits


def test_image_k_has_seed_k_and_is_the_same_however_many_are_made(tiny_base, concepts, covariance) -> None:
    three = generate(tiny_base, concepts, ask(count=3), covariance=covariance).images
    assert [made.recipe.seed for made in three] == [7, 8, 9]
    assert len({bits(made.image) for made in three}) == 3
    alone = generate(tiny_base, concepts, ask(seed=9), covariance=covariance).images[0]
    assert bits(alone.image) == bits(three[2].image)
    assert alone.recipe == three[2].recipe


def test_the_bias_changes_the_image_and_is_in_the_recipe(tiny_base, concepts, covariance) -> None:
    made = [
        generate(tiny_base, concepts, ask(biases={"biscuit": bias}), covariance=covariance).images[0]
        for bias in (1.1, 0.4)
    ]
    assert bits(made[0].image) != bits(made[1].image)
    assert [m.recipe.concepts[0].bias for m in made] == [1.1, 0.4]


def test_only_the_concepts_in_the_prompt_take_part(tiny_base, concepts, covariance) -> None:
    both = generate(tiny_base, concepts, ask(), covariance=covariance).images[0]
    alone = generate(tiny_base, {"biscuit": concepts["biscuit"]}, ask(), covariance=covariance).images[0]
    assert bits(both.image) == bits(alone.image)
    assert [c.name for c in both.recipe.concepts] == ["biscuit"]


def test_a_prompt_without_a_concept_is_the_stock_pipelines_image_and_a_warning(
    tiny_base, concepts, covariance
) -> None:
    made = generate(
        tiny_base,
        concepts,
        ask("a photo of a dog", scheduler="ddim", biases={"mug": 0.5}),
        covariance=covariance,
    )
    stock = tiny_base.pipeline(
        "a photo of a dog",
        num_inference_steps=3,
        guidance_scale=4.0,
        generator=torch.Generator().manual_seed(7),
    ).images[0]
    assert bits(made.images[0].image) == bits(stock)
    assert any("names no concept" in warning for warning in made.warnings)
    assert any("<mug>, which is not in the prompt: concept not used" in warning for warning in made.warnings)


@pytest.mark.parametrize(
    ("prompt", "biases", "expected"),
    [
        ("a <biscuit>", {}, 0.68),
        ("a <biscuit>", {"BISCUIT": 0.6}, 0.6),
        ("a <Biscuit:0.5>", {"biscuit": 0.6}, 0.5),
    ],
)
def test_prompt_goes_before_request_before_the_concepts_own_bias(
    tiny_base, concepts, covariance, prompt, biases, expected
) -> None:
    made = generate(tiny_base, concepts, ask(prompt, biases=biases), covariance=covariance).images[0]
    assert made.recipe.concepts[0].bias == expected


def test_the_global_lock_uses_its_own_recommendation(tiny_base, concepts, covariance) -> None:
    made = generate(tiny_base, concepts, ask(lock="global"), covariance=covariance).images[0]
    assert (made.recipe.lock, made.recipe.concepts[0].bias) == ("global", 0.5)


@pytest.mark.parametrize("scheduler", ["ddim", "euler", "euler-a", "dpm++"])
def test_every_scheduler_draws_and_repeats_itself(tiny_base, concepts, covariance, scheduler) -> None:
    request = ask(scheduler=scheduler, steps=4)
    first, again = (generate(tiny_base, concepts, request, covariance=covariance).images[0] for _ in range(2))
    assert bits(first.image) == bits(again.image)
    assert first.recipe.scheduler == scheduler


def test_the_base_is_afterwards_what_it_was(tiny_base, concepts, covariance) -> None:
    pipe = tiny_base.pipeline
    before = (repr(pipe.unet), pipe.scheduler, dict(pipe._progress_bar_config), "encode_prompt" in vars(pipe))
    generate(tiny_base, concepts, ask(scheduler="euler"), covariance=covariance)
    with pytest.raises(RuntimeError, match="on purpose"):
        generate(tiny_base, concepts, ask(), covariance=covariance, on_step=fail)
    assert (
        repr(pipe.unet),
        pipe.scheduler,
        dict(pipe._progress_bar_config),
        "encode_prompt" in vars(pipe),
    ) == before


def fail(_done: int, _total: int) -> None:
    raise RuntimeError("on purpose")


def test_progress_counts_to_the_end_over_all_images(tiny_base, concepts, covariance) -> None:
    seen: list[tuple[int, int]] = []
    generate(
        tiny_base,
        concepts,
        ask(count=2),
        covariance=covariance,
        on_step=lambda done, total: seen.append((done, total)),
    )
    assert seen[-1] == (6, 6)
    assert [done for done, _ in seen] == sorted(done for done, _ in seen)


def test_stopping_keeps_the_images_that_were_finished(tiny_base, concepts, covariance) -> None:
    steps: list[int] = []
    made = generate(
        tiny_base,
        concepts,
        ask(count=3),
        covariance=covariance,
        on_step=lambda done, _total: steps.append(done),
        should_stop=lambda: len(steps) > 4,
    )
    assert made.stopped
    assert [m.recipe.seed for m in made.images] == [7]


def test_words_that_do_not_fit_are_returned_as_a_warning(tiny_base, concepts, covariance) -> None:
    made = generate(tiny_base, concepts, ask("<biscuit> " + "in the snow " * 12), covariance=covariance)
    assert any("left out: “" in warning and "snow" in warning for warning in made.warnings)


def test_a_projection_that_is_passed_by_is_returned_as_a_warning(tiny_base, concepts, covariance) -> None:
    attention = next(iter(cross_attentions(tiny_base.unet).values()))
    assert generate(tiny_base, concepts, ask(), covariance=covariance).warnings == ()

    class Deaf:
        def __call__(self, _attention: Any, hidden_states: Any, **_: Any) -> Any:
            return hidden_states

    attention.processor = Deaf()
    warnings = generate(tiny_base, concepts, ask(count=2), covariance=covariance).warnings
    assert len(warnings) == 1
    assert warnings[0].startswith("2 of 8 edited projections were not used")


def test_a_concept_of_another_base_is_allowed_with_a_warning(tiny_base, make_concept, covariance) -> None:
    stranger = make_concept(tiny_base).with_metadata(base="elsewhere", base_fingerprint="other")
    made = generate(tiny_base, {"biscuit": stranger}, ask(), covariance=covariance)
    assert any("taught on elsewhere" in warning for warning in made.warnings)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"prompt": "  "}, "prompt is empty"),
        ({"prompt": "a <teapot>"}, "<teapot>.*<biscuit>, <mug>"),
        ({"prompt": "a <mug:0.5> and a <mug:0.6>"}, "two different numbers"),
        ({"seed": -1}, "seed"),
        ({"seed": 2**63 - 1, "count": 2}, "seed of the last image"),
        ({"count": 0}, "number of images"),
        ({"steps": 0}, "number of steps"),
        ({"guidance": float("nan")}, "guidance"),
        ({"width": 100}, "multiples of 8"),
        ({"height": 8}, "height"),
        ({"temperature": 0.0}, "temperature"),
        ({"scheduler": "magic"}, "magic"),
        ({"lock": "sideways"}, "sideways"),
        ({"biases": {"mug": 99.0}}, "<mug> is 99"),
    ],
)
def test_impossible_requests_are_refused_in_words(tiny_base, concepts, covariance, changes, words) -> None:
    request = replace(ask(), **changes)
    with pytest.raises(PerfusionError, match=words):
        generate(tiny_base, concepts, request, covariance=covariance)


def test_an_image_of_no_numbers_is_an_error_not_a_black_square(tiny_base, make_concept, covariance) -> None:
    concept = make_concept(tiny_base)
    with torch.no_grad():
        tiny_base.unet.conv_out.bias.fill_(float("nan"))
    with pytest.raises(PerfusionError, match="not-a-number"):
        generate(tiny_base, {"biscuit": concept}, ask(), covariance=covariance)


def test_other_sizes_than_the_bases_own_are_made_and_recorded(tiny_base, concepts, covariance) -> None:
    made = generate(tiny_base, concepts, ask(width=96, height=64), covariance=covariance).images[0]
    assert made.image.size == (made.recipe.width, made.recipe.height) == (96, 64)


def test_a_concept_named_in_the_negative_prompt_alone_takes_part_and_is_in_the_recipe(
    tiny_base, concepts, covariance
) -> None:
    def made(negative: str) -> Any:
        request = ask("a photo of a dog", negative_prompt=negative)
        return generate(tiny_base, concepts, request, covariance=covariance)

    plain, named, numbered = made("a cup"), made("a <mug>"), made("a <mug:0.3>")
    assert len({bits(m.images[0].image) for m in (plain, named, numbered)}) == 3
    assert [(c.name, c.bias) for c in numbered.images[0].recipe.concepts] == [("mug", 0.3)]
    assert [(c.name, c.bias) for c in named.images[0].recipe.concepts] == [("mug", 0.68)]
    assert not any("names no concept" in warning for warning in named.warnings)
    again = repeat(tiny_base, concepts, numbered.images[0].recipe, covariance=covariance)
    assert bits(again.images[0].image) == bits(numbered.images[0].image)
    with pytest.raises(PromptError, match="<cat> is not a known concept"):
        made("a <cat>")


@pytest.mark.parametrize(
    ("name", "expected", "spacing"),
    [
        ("sd-turbo", ("euler", 4, 0.0), "trailing"),
        ("sd_lightning_2step", ("euler", 2, 0.0), "trailing"),
        ("Hyper-SD15-8steps", ("ddim", 8, 0.0), "trailing"),
        ("lcm-dreamshaper", ("lcm", 4, 1.0), "linspace"),
        ("tiny", ("ddim", 20, 5.0), "linspace"),
    ],
)
def test_a_base_gets_the_steps_and_guidance_it_was_made_for(
    tiny_pipe, make_concept, covariance, name: str, expected: tuple[str, int, float], spacing: str
) -> None:
    base = Base(name, tiny_pipe)
    request = GenerationRequest(PROMPT, seed=1)
    made = generate(base, {"biscuit": make_concept(base)}, request, covariance=covariance).images[0]
    assert (made.recipe.scheduler, made.recipe.steps, made.recipe.guidance) == expected
    assert "without guidance" not in " ".join(make_plan(base, {}, GenerationRequest("a dog")).warnings)
    assert make_scheduler(base, "euler").config.timestep_spacing == spacing


def test_guidance_on_a_base_of_few_steps_is_warned_of(tiny_pipe) -> None:
    said = make_plan(Base("sd-turbo", tiny_pipe), {}, GenerationRequest("a dog", guidance=7)).warnings
    assert "sd-turbo was made to draw in 4 steps without guidance, and at 7 colours burn out" in said[-1]


def test_memory_running_out_makes_smaller_batches_and_at_last_says_what_to_do(
    tiny_base, concepts, covariance, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows: list[int] = []

    def full(sample: torch.Tensor, *_: Any, **__: Any) -> Any:
        rows.append(len(sample))
        raise RuntimeError("DefaultCPUAllocator: not enough memory: you tried to allocate 9 bytes.")

    monkeypatch.setattr("perfusion_core.sampling.generator.images_together", lambda *_: 4)
    monkeypatch.setattr(tiny_base.unet, "forward", full)
    with pytest.raises(PerfusionError, match=r"one image of 64x64\. Make it smaller, or close .* memory\.$"):
        generate(tiny_base, concepts, ask(count=4), covariance=covariance)
    assert rows == [8, 4, 2]
