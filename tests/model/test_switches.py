"""Whatever is switched on in a pipeline: concepts act through it, and nothing ignores them without a word.

docs/bases.md is the table of these, and names the test of each.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from perfusion_core.errors import PerfusionError
from perfusion_core.model.applied import applied
from perfusion_core.model.base import Base
from tests.model.switches import FAMILIES, SWITCHES, Family, loaded_lora, other_pipeline
from tests.tiny_concept import random_concept, random_inverse_covariance

PLAIN, TAUGHT = "a photo of a dog on the beach", "a photo of a <biscuit> on the beach"
SHUT = {"biases": {"biscuit": 50.0}}


def draw(pipe: Any, prompt: Any = TAUGHT, seed: int = 0, **settings: Any) -> np.ndarray[Any, Any]:
    generator = torch.Generator().manual_seed(seed)
    chosen = {"num_inference_steps": 3, "output_type": "np", "generator": generator, **settings}
    return pipe(prompt, **chosen).images


@pytest.fixture(params=list(FAMILIES))
def family(request: pytest.FixtureRequest) -> Family:
    return FAMILIES[request.param]


@pytest.fixture
def base(family: Family) -> Base:
    return family.base()


@contextmanager
def edited(base: Base, pipe: Any = None, concept: Any = None, **settings: Any) -> Iterator[Any]:
    """`applied` with a concept of this base; a projection that is not called fails the test."""
    concept = concept or random_concept(base)
    settings["inverse_covariance"] = random_inverse_covariance(base.description.text_width)
    with warnings.catch_warnings():
        warnings.filterwarnings("error", message=".*edited projections")
        with applied(pipe or base.pipeline, [concept], **settings) as conditioning:
            yield conditioning


@pytest.mark.parametrize("name", list(SWITCHES))
def test_with_a_switch_on_the_concept_acts_and_with_its_gates_shut_it_does_not(
    family: Family, name: str
) -> None:
    switch, base = SWITCHES[name], family.base()
    without = family.base()
    pipe = switch.on(family, base.pipeline)
    plain = draw(pipe, PLAIN, **switch.settings)
    with edited(base, pipe, **SHUT):
        np.testing.assert_allclose(draw(pipe, PLAIN, **switch.settings), plain, atol=1e-5)
    with edited(base, pipe):
        taught = draw(pipe, TAUGHT, **switch.settings)
    with edited(base, pipe, lock="global"):
        whole = draw(pipe, TAUGHT, **switch.settings)
    with edited(base, pipe, **SHUT):  # the word alone
        word = draw(pipe, TAUGHT, **switch.settings)
    assert not np.allclose(word, taught, atol=1e-3)
    assert not np.allclose(word, whole, atol=1e-3)
    assert not np.allclose(taught, whole, atol=1e-3)
    np.testing.assert_allclose(draw(pipe, PLAIN, **switch.settings), plain, atol=1e-5)
    assert "Edited" not in repr(pipe.unet)
    with edited(without):
        usual = draw(without.pipeline, TAUGHT, **(switch.settings if switch.same else {}))
    assert np.allclose(taught, usual, atol=1e-4) == switch.same


def test_a_lora_from_a_file_stays_in_force(family: Family, base: Base, tmp_path: Path) -> None:
    pipe = base.pipeline
    before = draw(pipe, PLAIN)
    loaded_lora(pipe, tmp_path)
    styled = draw(pipe, PLAIN)
    assert not np.allclose(styled, before, atol=1e-4)
    with edited(base, **SHUT):
        np.testing.assert_allclose(draw(pipe, PLAIN), styled, atol=1e-5)
    with edited(base):
        taught = draw(pipe)
    unstyled = family.base()
    with edited(unstyled):
        assert not np.allclose(draw(unstyled.pipeline), taught, atol=1e-4)


def test_a_lora_loaded_while_concepts_are_applied_is_refused_in_words(
    family: Family, base: Base, tmp_path: Path
) -> None:
    other = family.base().pipeline
    loaded_lora(other, tmp_path)
    plain = draw(base.pipeline, PLAIN)
    with edited(base):
        expected = draw(base.pipeline)
        with pytest.raises(PerfusionError, match="before"):
            base.pipeline.load_lora_weights(tmp_path)
        np.testing.assert_allclose(draw(base.pipeline), expected, atol=1e-5)
    np.testing.assert_allclose(draw(base.pipeline, PLAIN), plain, atol=1e-5)


def test_fused_loras_make_other_weights_and_that_is_told(family: Family, base: Base) -> None:
    concept = random_concept(base)
    SWITCHES["LoRA, fused"].on(family, base.pipeline)
    inverse = random_inverse_covariance(base.description.text_width)
    with (
        pytest.warns(UserWarning, match="weights are not those"),
        applied(base.pipeline, [concept], inverse_covariance=inverse),
    ):
        pass


def test_layers_of_the_text_encoder_can_be_skipped(base: Base) -> None:
    with applied(base.pipeline, []):  # the stock pipeline's own clip_skip fails with transformers 5
        plain, skipped = draw(base.pipeline, PLAIN), draw(base.pipeline, PLAIN, clip_skip=1)
    assert not np.allclose(plain, skipped, atol=1e-4)
    with edited(base, **SHUT):
        np.testing.assert_allclose(draw(base.pipeline, PLAIN, clip_skip=1), skipped, atol=1e-5)
    with edited(base):
        taught = draw(base.pipeline, clip_skip=1)
        assert not np.allclose(taught, draw(base.pipeline), atol=1e-3)
    with edited(base, **SHUT):
        assert not np.allclose(taught, draw(base.pipeline, clip_skip=1), atol=1e-3)


def test_encodings_passed_in_are_edited_where_they_are_like_the_concept(base: Base) -> None:
    pipe = base.pipeline
    with edited(base, anchored=False):
        expected = draw(pipe)
        encoded = pipe.encode_prompt(
            prompt=TAUGHT, device="cpu", num_images_per_prompt=1, do_classifier_free_guidance=True
        )
    with edited(base):
        passed = draw(pipe, None, **dict(zip(base.family.returned, encoded, strict=True)))
        np.testing.assert_allclose(passed, expected, atol=1e-5)


@pytest.mark.parametrize("where", ["whole", "in place", "blocks"])
def test_a_denoiser_compiled_while_concepts_are_applied_keeps_them(base: Base, where: str) -> None:
    pipe, one = base.pipeline, {"num_inference_steps": 1}
    plain = draw(pipe, PLAIN, **one)
    with edited(base):
        expected = draw(pipe, **one)
        if where == "whole":
            pipe.unet = torch.compile(pipe.unet, backend="eager")
        elif where == "in place":
            pipe.unet.compile(backend="eager")
        else:
            pipe.unet.compile_repeated_blocks(backend="eager")
        np.testing.assert_allclose(draw(pipe, **one), expected, atol=1e-4)
    np.testing.assert_allclose(draw(pipe, PLAIN, **one), plain, atol=1e-5)


def test_another_denoiser_put_into_the_pipeline_is_warned_of(family: Family, base: Base) -> None:
    with edited(base):
        base.pipeline.unet = family.base().unet
        with pytest.warns(UserWarning, match="edited projections were not used"):
            draw(base.pipeline)


def test_fused_projections_are_refused_and_the_remedy_is_named(base: Base) -> None:
    pipe, concept = base.pipeline, random_concept(base)
    with edited(base, concept=concept):
        expected = draw(pipe)
    pipe.fuse_qkv_projections()
    with pytest.raises(PerfusionError, match="unfuse_qkv_projections"), edited(base, concept=concept):
        pass
    pipe.unfuse_qkv_projections()
    with edited(base, concept=concept):
        pipe.fuse_qkv_projections()
        with pytest.raises(PerfusionError, match="unfuse_qkv_projections"):
            draw(pipe)
        pipe.unfuse_qkv_projections()
        np.testing.assert_allclose(draw(pipe), expected, atol=1e-5)


def test_layer_by_layer_offloading_is_refused_with_the_way_that_works(base: Base) -> None:
    expected, concept = "enable_model_cpu_offload instead", random_concept(base)
    with edited(base, concept=concept):
        base.pipeline.enable_sequential_cpu_offload(device="cpu")
        with pytest.raises(PerfusionError, match=expected):
            draw(base.pipeline)
    with pytest.raises(PerfusionError, match=expected), edited(base, concept=concept):
        pass


def test_guidance_that_runs_the_prompt_a_third_time_is_refused(family: Family, base: Base) -> None:
    pipe = other_pipeline(family.pipeline("PAG"), base.pipeline, pag_applied_layers=["mid"])
    with edited(base, pipe), pytest.raises(PerfusionError, match="perturbed attention guidance"):
        draw(pipe)
