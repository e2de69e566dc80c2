"""Switches of pipelines whose denoiser is a transformer: concepts act, or they are refused in words."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from inspect import signature
from typing import Any

import numpy as np
import pytest
import torch
from peft import LoraConfig, inject_adapter_in_model

from perfusion_core.errors import PerfusionError
from perfusion_core.model.base import Base
from tests.model.transformer_bases import KINDS, PLAIN, SHUT, TAUGHT, base_of, draw, edited
from tests.tiny_concept import random_concept

ONE_EACH = ("pixart-sigma", "sana", "cosmos")  # of each class of denoiser


@dataclass(frozen=True)
class Switch:
    """`on(pipe)` switches it on, the call is told `settings`; `same`: images are those without it."""

    on: Callable[[Any], object] = lambda _pipe: None
    settings: dict[str, Any] = field(default_factory=dict)
    same: bool = False
    kinds: tuple[str, ...] = KINDS


def _lora(pipe: Any) -> None:
    with torch.random.fork_rng():
        torch.manual_seed(7)
        config = LoraConfig(r=2, target_modules=["to_k", "to_v", "to_q"], init_lora_weights=False)
        inject_adapter_in_model(config, pipe.transformer, "style")


def _compiled(pipe: Any) -> None:
    pipe.transformer = torch.compile(pipe.transformer, backend="eager")


SWITCHES: dict[str, Switch] = {
    "LoRA": Switch(_lora),
    "enable_model_cpu_offload": Switch(lambda pipe: pipe.enable_model_cpu_offload(device="cpu"), same=True),
    "attention slicing": Switch(lambda pipe: pipe.enable_attention_slicing(1), same=True),
    "torch.compile": Switch(_compiled, same=True, kinds=ONE_EACH),
    "tiled autoencoder": Switch(lambda pipe: pipe.vae.enable_tiling(), same=True),
    "several images a prompt": Switch(settings={"num_images_per_prompt": 2}),
    "guidance 0": Switch(settings={"guidance_scale": 0.0}),
    "guidance 1": Switch(settings={"guidance_scale": 1.0}),
}


@pytest.fixture(params=ONE_EACH)
def base(request: pytest.FixtureRequest) -> Base:
    return base_of(request.param)


@pytest.mark.filterwarnings("error:.*edited projections")
@pytest.mark.parametrize(
    ("name", "kind"), [(name, kind) for name, switch in SWITCHES.items() for kind in switch.kinds]
)
def test_with_a_switch_on_the_concept_acts_and_with_its_gates_shut_it_does_not(name: str, kind: str) -> None:
    switch, base = SWITCHES[name], base_of(kind)
    with edited(base):
        usual = draw(base, TAUGHT)
    switch.on(base.pipeline)
    plain = draw(base, PLAIN, **switch.settings)
    with edited(base, **SHUT):
        np.testing.assert_allclose(draw(base, PLAIN, **switch.settings), plain, atol=1e-5)
        shut = draw(base, TAUGHT, **switch.settings)
    with edited(base):
        taught = draw(base, TAUGHT, **switch.settings)
    assert not np.allclose(taught, shut, atol=1e-3)
    np.testing.assert_allclose(draw(base, PLAIN, **switch.settings), plain, atol=1e-5)
    assert "Edited" not in repr(base.denoiser)
    if switch.same:
        np.testing.assert_allclose(taught, usual, atol=1e-4)


@pytest.mark.parametrize("kind", KINDS)
def test_encodings_passed_in_are_edited_where_they_are_like_the_concept(kind: str) -> None:
    base = base_of(kind)
    pipe, guided = base.pipeline, "negative_prompt_embeds" in base.family.returned
    told: dict[str, Any] = {"do_classifier_free_guidance": True} if guided else {}
    instruction = base.family.encoders[0].instruction_argument  # without it `encode_prompt` puts none before
    if instruction:
        told[instruction] = signature(type(pipe).__call__).parameters[instruction].default
    with edited(base, anchored=False):
        expected = draw(base)
        encoded = pipe.encode_prompt(prompt=TAUGHT, device="cpu", num_images_per_prompt=1, **told)
    passed = dict(zip(base.family.returned, encoded, strict=True))
    nothing = {"negative_prompt": None} if guided else {}
    with edited(base):
        np.testing.assert_array_equal(draw(base, None, **passed, **nothing), expected)
    with edited(base, **SHUT):
        assert not np.allclose(draw(base, None, **passed, **nothing), expected, atol=1e-3)


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
