"""What only Kolors has: padding before the text, a tokenizer that says no places, and its switches."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import diffusers
import numpy as np
import pytest
import torch
from diffusers.models.attention_processor import AttnProcessor

from perfusion_core.errors import BaseModelError, PerfusionError
from perfusion_core.model.base import Base
from perfusion_core.model.families.registry import family_of
from tests.model.switches import with_lora
from tests.model.transformer_bases import PLAIN, SHUT, TAUGHT, draw, edited
from tests.tiny_concept import random_concept
from tests.tiny_families import tiny_family


@pytest.fixture
def base() -> Base:
    return Base("kolors", tiny_family("kolors"))


def test_texts_are_encoded_as_the_pipeline_does(base: Base) -> None:
    prompts = ["a dog", "a photo of a cat on the beach, 狗"]
    told: Any = base.pipeline.encode_prompt(prompts, "cpu", do_classifier_free_guidance=False)
    found = base.prompts.encode(prompts, {})
    torch.testing.assert_close(found.given, told[0])
    torch.testing.assert_close(found.pooled, told[2])
    torch.testing.assert_close(found.encoding, base.denoiser.encoder_hid_proj(told[0]))


@pytest.mark.parametrize(
    "prompt",
    [
        "<biscuit>",
        "a <biscuit>, on the beach",
        "my (<biscuit>)",
        "a <biscuit> and a <brown> in snow",
        "<biscuit> <brown>",
        "a 狗 next to a <biscuit> 狗",
        "A photo,<biscuit>: red",
    ],
)
def test_a_concept_has_one_place_and_the_rest_is_split_as_around_its_word(base: Base, prompt: str) -> None:
    concepts = {"biscuit": random_concept(base), "brown": random_concept(base, "brown", "cup", seed=5)}
    encoder = base.prompts.encoders[0]
    found = encoder.tokens.tokens(prompt, concepts, base.prompts._frame, allow_empty=False)
    expected, stands_in = prompt, base.tokenizer.convert_ids_to_tokens(found.ids)
    for place, name in found.slots:  # the word itself, or where it is split the first of its tokens
        expected = expected.replace(f"<{name}>", stands_in[place].strip("▁"), 1)
        assert {"biscuit": "dog", "brown": "cup"}[name].startswith(stands_in[place].strip("▁"))
    assert len(found.slots) == prompt.count("<")
    assert base.tokenizer.decode(found.ids[found.begin + 2 :]) == expected


def test_a_word_of_several_tokens_takes_one_place(base: Base) -> None:
    hound = random_concept(base, "biscuit", "hound")
    found = base.prompts.encoders[0].tokens.tokens(
        "a <biscuit>, on the beach", {"biscuit": hound}, base.prompts._frame, allow_empty=False
    )
    marks, word = found.length - 6, base.tokenizer("hound", add_special_tokens=False)["input_ids"]
    assert marks == 2
    assert len(word) > 1
    ((place, _),) = found.slots
    assert place == 256 - 6 + 1
    rest = base.tokenizer("a hound, on the beach", add_special_tokens=False)["input_ids"]
    assert found.ids[-6:] == [rest[0], word[0], *rest[1 + len(word) :]]


def test_a_plainly_written_superclass_is_found_where_it_stands(base: Base) -> None:
    encoded = base.prompts.encode(["a dog next to a <biscuit>"], {"biscuit": random_concept(base)})
    (places,) = (found["biscuit"] for found in encoded.superclass_positions)
    assert places == [256 - 6 + 1]
    assert encoded.positions[0]["biscuit"] == [255]


def _compiled(pipe: Any) -> None:
    pipe.unet = torch.compile(pipe.unet, backend="eager")


SWITCHES: dict[str, tuple[Callable[[Any], object], dict[str, Any]]] = {
    "LoRA": (with_lora, {}),
    "enable_model_cpu_offload": (lambda pipe: pipe.enable_model_cpu_offload(device="cpu"), {}),
    "attention slicing": (lambda pipe: pipe.enable_attention_slicing(1), {}),
    "set_attn_processor": (lambda pipe: pipe.unet.set_attn_processor(AttnProcessor()), {}),
    "torch.compile": (_compiled, {}),
    "FreeU": (lambda pipe: pipe.unet.enable_freeu(s1=0.6, s2=0.4, b1=1.5, b2=1.6), {}),
    "several images a prompt": (lambda _pipe: None, {"num_images_per_prompt": 2}),
    "guidance 0": (lambda _pipe: None, {"guidance_scale": 0.0}),
    "guidance 1": (lambda _pipe: None, {"guidance_scale": 1.0}),
}


@pytest.mark.filterwarnings("error:.*edited projections")
@pytest.mark.parametrize("name", list(SWITCHES))
def test_with_a_switch_on_the_concept_acts_and_with_its_gates_shut_it_does_not(base: Base, name: str) -> None:
    switch_on, settings = SWITCHES[name]
    switch_on(base.pipeline)
    plain = draw(base, PLAIN, **settings)
    with edited(base, **SHUT):
        np.testing.assert_allclose(draw(base, PLAIN, **settings), plain, atol=1e-5)
        shut = draw(base, TAUGHT, **settings)
    with edited(base):
        assert not np.allclose(draw(base, TAUGHT, **settings), shut, atol=1e-3)
    np.testing.assert_allclose(draw(base, PLAIN, **settings), plain, atol=1e-5)


def test_image_to_image_is_edited_too(base: Base) -> None:
    parts = {name: part for name, part in base.pipeline.components.items() if part is not None}
    pipe = diffusers.KolorsImg2ImgPipeline(**parts)
    pipe.set_progress_bar_config(disable=True)
    told: dict[str, Any] = {"image": torch.full((1, 3, 64, 64), 0.5), "strength": 0.9}
    with edited(base, pipe, **SHUT):
        shut = draw(base, TAUGHT, pipe, **told, width=None, height=None)
    with edited(base, pipe):
        assert not np.allclose(draw(base, TAUGHT, pipe, **told, width=None, height=None), shut, atol=1e-3)


def test_encodings_passed_in_are_edited_where_they_are_like_the_concept(base: Base) -> None:
    with edited(base, anchored=False):
        expected = draw(base)
        encoded = base.pipeline.encode_prompt(TAUGHT, "cpu")
    passed = dict(zip(base.family.returned, encoded, strict=True))
    with edited(base):
        np.testing.assert_array_equal(draw(base, None, **passed), expected)
    with edited(base, **SHUT):
        assert not np.allclose(draw(base, None, **passed), expected, atol=1e-3)


def test_fused_projections_are_refused(base: Base) -> None:
    base.denoiser.fuse_qkv_projections()
    with pytest.raises(PerfusionError, match="unfuse_qkv_projections"), edited(base):
        pass


def test_with_an_ip_adapter_it_is_refused_in_words(base: Base) -> None:
    base.denoiser.register_to_config(encoder_hid_dim_type="ip_image_proj")
    with pytest.raises(BaseModelError, match="an IP-Adapter stands where"):
        family_of(base.pipeline)
