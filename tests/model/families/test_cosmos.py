"""What only Cosmos-Predict2 has: zeroed padding, prompts in turn, a guardrail, relatives that make videos."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from diffusers import CosmosTransformer3DModel

from perfusion_core.errors import BaseModelError, PerfusionError
from perfusion_core.model.applied import applied
from perfusion_core.model.base import Base
from perfusion_core.model.families import registry
from perfusion_core.model.families.cosmos import COSMOS
from perfusion_core.model.families.registry import family_of
from perfusion_core.model.statistics import CovarianceStats
from perfusion_core.sampling.attribution import acting_maps
from perfusion_core.sampling.generator import generate
from perfusion_core.sampling.request import GenerationRequest
from tests.tiny_concept import random_concept, random_inverse_covariance
from tests.tiny_families import plain_options, tiny_family

PROMPT = "a photo of a <biscuit> on the beach"


@pytest.fixture
def base() -> Base:
    return Base("cosmos", tiny_family("cosmos"))


@pytest.fixture
def covariance(base: Base) -> Any:
    return CovarianceStats(random_inverse_covariance(base.description.text_width), "tiny", 1.0)


def draw(base: Base, prompt: Any = PROMPT, **settings: Any) -> Any:
    generator = torch.Generator().manual_seed(0)
    return np.asarray(
        base.pipeline(prompt, **{**plain_options("cosmos"), "generator": generator, **settings}).images
    )


def reads(base: Base, name: str) -> list[tuple[torch.Tensor, torch.Tensor]]:
    """What the first cross-attention's projection is given and returns, filled call by call."""
    found: list[tuple[torch.Tensor, torch.Tensor]] = []
    projection = getattr(base.denoiser.get_submodule(base.description.attention_paths[0]), name)
    projection.register_forward_hook(lambda _m, given, made: found.append((given[0].clone(), made.clone())))
    return found


def test_padding_is_zero_and_stays_unedited(base: Base, covariance: Any) -> None:
    """Else its keys, normalised, would be the superclass's: five hundred of them beside nine words."""
    with applied(base.pipeline, [random_concept(base)], inverse_covariance=covariance.inverse):
        keys, values = reads(base, "to_k"), reads(base, "to_v")
        draw(base)
    words = len(base.tokenizer(PROMPT.replace("<biscuit>", "dog")).input_ids)
    for given, made in (keys[0], values[0]):  # the prompt comes first
        assert given.shape[1] == 512
        assert bool((given[0, :words] != 0).any(dim=-1).all())
        assert not given[0, words:].any()
        assert not made[0, words:].any()
        assert bool(made[0, :words].any())


def test_padding_of_encodings_passed_in_stays_unedited_too(base: Base, covariance: Any) -> None:
    embeds, _ = base.pipeline.encode_prompt("a photo of a dog", do_classifier_free_guidance=False)
    with applied(base.pipeline, [random_concept(base)], inverse_covariance=covariance.inverse):
        values = reads(base, "to_v")
        draw(base, None, prompt_embeds=embeds)
    words = len(base.tokenizer("a photo of a dog").input_ids)
    assert not values[0][1][0, words:].any()


def test_each_prompt_is_projected_once_an_image_though_they_come_in_turn(base: Base, covariance: Any) -> None:
    path = base.description.attention_paths[0]
    with applied(base.pipeline, [random_concept(base)], inverse_covariance=covariance.inverse):
        calls: list[int] = []
        projection = base.denoiser.get_submodule(path).to_v
        projection.base.register_forward_hook(lambda _m, given, _made: calls.append(given[0].ndim))
        draw(base, num_inference_steps=4)
    assert calls.count(3) == 2  # the others are of i* and the superclass, which have no positions


def test_a_number_in_a_negative_prompt_of_the_same_words_counts_for_it_alone(
    base: Base, covariance: Any
) -> None:
    concept = random_concept(base)

    def drawn(positive: float, negative: float) -> Any:
        words = "a photo of a <biscuit:{}>"
        with applied(base.pipeline, [concept], inverse_covariance=covariance.inverse):
            return draw(base, words.format(positive), negative_prompt=words.format(negative))

    # Where both are the same, guidance cancels out: what is left is what the prompt alone draws.
    alike = drawn(0.4, 0.4)
    with applied(base.pipeline, [concept], inverse_covariance=covariance.inverse):
        alone = draw(base, "a photo of a <biscuit:0.4>", guidance_scale=1.0)
    np.testing.assert_allclose(alike, alone, atol=1e-4)
    assert np.abs(drawn(0.4, 3.0) - alike).max() > 1e-3
    assert np.abs(drawn(0.4, 3.0) - drawn(3.0, 0.4)).max() > 1e-3


def test_images_are_the_stock_pipelines_and_pass_its_guardrail(base: Base, covariance: Any) -> None:
    concept, guardrail = random_concept(base), base.pipeline.safety_checker
    made = generate(
        base, {"biscuit": concept}, GenerationRequest(PROMPT, steps=2, width=64, height=64),
        covariance=covariance,
    )  # fmt: skip
    assert guardrail.texts == [PROMPT]
    assert guardrail.images == 1
    with applied(base.pipeline, [concept], inverse_covariance=covariance.inverse):
        stock = draw(base, output_type="np", guidance_scale=7.0)
    found = np.asarray(made.images[0].image, dtype=np.float64) / 255
    np.testing.assert_allclose(found, stock[0], atol=1.01 / 255)  # the pipeline rounds down, we round
    guardrail.withholds = True
    with pytest.raises(PerfusionError, match=r"guardrail.*withholds this image"):
        generate(
            base, {"biscuit": concept}, GenerationRequest(PROMPT, steps=2, width=64, height=64),
            covariance=covariance,
        )  # fmt: skip


def test_where_a_concept_acted_is_seen_in_the_prompt_not_in_the_negative_one(
    base: Base, covariance: Any
) -> None:
    concepts, asked = {"biscuit": random_concept(base)}, {"steps": 1, "width": 64, "height": 64}
    maps = []
    for negative in ("a cat", "two cats in snow and space"):
        request = GenerationRequest(PROMPT, negative_prompt=negative, **asked)
        recipe = generate(base, concepts, request, covariance=covariance).images[0].recipe
        maps.append(acting_maps(base, concepts, recipe, covariance=covariance)["biscuit"])
    torch.testing.assert_close(maps[0], maps[1])  # in the first step the negative prompt has changed nothing


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"in_channels": 5}, "makes videos.*Use Stable Diffusion"),
        ({"use_crossattn_projection": True}, "a model of images and text.*Use Stable Diffusion"),
    ],
)
def test_relatives_are_refused_with_the_reason(base: Base, settings: dict[str, Any], words: str) -> None:
    config = {name: value for name, value in base.denoiser.config.items() if not name.startswith("_")}
    base.pipeline.transformer = CosmosTransformer3DModel(**{**config, **settings})
    with pytest.raises(BaseModelError, match=words):
        family_of(base.pipeline)


def test_packages_that_are_not_there_are_named_before_anything_is_loaded(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(registry, "find_spec", lambda name: None if name == "cosmos_guardrail" else object())
    with pytest.raises(BaseModelError, match=r"some-model.*pip install cosmos_guardrail\)"):
        registry.require_packages(COSMOS, "some-model")
    monkeypatch.setattr(registry, "find_spec", lambda _name: object())
    registry.require_packages(COSMOS, "some-model")
