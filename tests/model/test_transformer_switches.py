"""Switches of pipelines whose denoiser is a transformer: concepts act, or they are refused in words."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from peft import LoraConfig, inject_adapter_in_model

from perfusion_core.errors import PerfusionError
from perfusion_core.model.applied import applied
from perfusion_core.model.base import Base
from tests.tiny_concept import random_concept, random_inverse_covariance
from tests.tiny_families import plain_options, tiny_family

PLAIN, TAUGHT = "a photo of a dog on the beach", "a photo of a <biscuit> on the beach"
SHUT = {"biases": {"biscuit": 50.0}}
KINDS = ("pixart-sigma", "sana", "cosmos")


def _lora(pipe: Any) -> None:
    with torch.random.fork_rng():
        torch.manual_seed(7)
        config = LoraConfig(r=2, target_modules=["to_k", "to_v", "to_q"], init_lora_weights=False)
        inject_adapter_in_model(config, pipe.transformer, "style")


def _compiled(pipe: Any) -> None:
    pipe.transformer = torch.compile(pipe.transformer, backend="eager")


# What is done to the pipeline, what its call is told, and whether its images are those without the switch.
SWITCHES: dict[str, tuple[Callable[[Any], object], dict[str, Any], bool]] = {
    "LoRA": (_lora, {}, False),
    "enable_model_cpu_offload": (lambda pipe: pipe.enable_model_cpu_offload(device="cpu"), {}, True),
    "torch.compile": (_compiled, {}, True),
    "tiled autoencoder": (lambda pipe: pipe.vae.enable_tiling(), {}, True),
    "several images a prompt": (lambda pipe: None, {"num_images_per_prompt": 2}, False),
    "guidance 1": (lambda pipe: None, {"guidance_scale": 1.0}, False),
}


@pytest.fixture(params=KINDS)
def base(request: pytest.FixtureRequest) -> Base:
    return Base(request.param, tiny_family(request.param))


def draw(base: Base, prompt: Any = TAUGHT, pipe: Any = None, **settings: Any) -> np.ndarray[Any, Any]:
    generator = torch.Generator().manual_seed(0)
    options = {**plain_options(base.id), "generator": generator, **settings}
    return np.asarray((pipe or base.pipeline)(prompt, **options).images)


def edited(base: Base, pipe: Any = None, **settings: Any) -> Any:
    inverse = random_inverse_covariance(base.description.text_width)
    concept = settings.pop("concept", None) or random_concept(base)
    return applied(pipe or base.pipeline, [concept], inverse_covariance=inverse, **settings)


@pytest.mark.filterwarnings("error:.*edited projections")
@pytest.mark.parametrize("name", list(SWITCHES))
def test_with_a_switch_on_the_concept_acts_and_with_its_gates_shut_it_does_not(base: Base, name: str) -> None:
    switch_on, settings, same = SWITCHES[name]
    with edited(base):
        usual = draw(base, TAUGHT)
    switch_on(base.pipeline)
    plain = draw(base, PLAIN, **settings)
    with edited(base, **SHUT):
        np.testing.assert_allclose(draw(base, PLAIN, **settings), plain, atol=1e-5)
        shut = draw(base, TAUGHT, **settings)
    with edited(base):
        taught = draw(base, TAUGHT, **settings)
    assert not np.allclose(taught, shut, atol=1e-3)
    np.testing.assert_allclose(draw(base, PLAIN, **settings), plain, atol=1e-5)
    assert "Edited" not in repr(base.denoiser)
    if same:
        np.testing.assert_allclose(taught, usual, atol=1e-4)


def test_fused_projections_are_refused_or_were_never_fused(base: Base) -> None:
    with edited(base):
        usual = draw(base)
    if base.id == "cosmos":
        assert not hasattr(base.denoiser, "fuse_qkv_projections")
        return
    base.denoiser.fuse_qkv_projections()
    if base.id == "pixart-sigma":
        with pytest.raises(PerfusionError, match="unfuse_qkv_projections"), edited(base):
            pass
        base.denoiser.unfuse_qkv_projections()
    with edited(base):  # Sana's denoiser takes the call and fuses nothing
        np.testing.assert_allclose(draw(base), usual, atol=1e-5)


class _Past:
    """Reads the text past the projections of its attention."""

    def __init__(self, own: Any) -> None:
        self.own = own

    def __call__(self, attn: Any, hidden_states: torch.Tensor, **told: Any) -> torch.Tensor:
        edited, attn.to_v = attn.to_v, attn.to_v.base if hasattr(attn.to_v, "base") else attn.to_v
        try:
            return self.own(attn, hidden_states, **told)
        finally:
            attn.to_v = edited


def test_a_processor_that_passes_a_projection_by_is_warned_of(base: Base) -> None:
    attention = base.denoiser.get_submodule(base.description.attention_paths[1])
    attention.processor = _Past(attention.processor)
    with edited(base), pytest.warns(UserWarning, match=r"1 of \d+ edited projections were not used"):
        draw(base)


def test_a_second_pipeline_on_the_same_denoiser_is_refused(base: Base) -> None:
    second = type(base.pipeline)(**base.pipeline.components)
    second.set_progress_bar_config(disable=True)
    with edited(base):
        with pytest.raises(PerfusionError, match="another pipeline"):
            draw(base, pipe=second)
        draw(base)
        with pytest.raises(PerfusionError, match="another pipeline"):
            draw(base, pipe=second)


def test_layer_by_layer_offloading_is_refused_with_the_way_that_works(base: Base) -> None:
    concept = random_concept(base)
    with edited(base, concept=concept):
        base.pipeline.enable_sequential_cpu_offload(device="cpu")
        with pytest.raises(PerfusionError, match="enable_model_cpu_offload instead"):
            draw(base)


def test_a_denoiser_compiled_while_concepts_are_applied_keeps_them(base: Base) -> None:
    with edited(base):
        expected = draw(base)
        base.denoiser.compile(backend="eager")
        np.testing.assert_allclose(draw(base), expected, atol=1e-4)
