"""Other pipelines on a transformer's parts, and LoRAs from files: concepts act, or are refused in words."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from diffusers import (
    PixArtSigmaPAGPipeline,
    SanaControlNetModel,
    SanaControlNetPipeline,
    SanaPAGPipeline,
    SanaSprintImg2ImgPipeline,
)
from peft import LoraConfig, get_peft_model_state_dict, inject_adapter_in_model
from PIL import Image

from perfusion_core.errors import PerfusionError
from perfusion_core.model.base import Base
from tests.model.transformer_bases import PLAIN, SHUT, TAUGHT, base_of, draw, edited

GREY = Image.new("RGB", (64, 64), "gray")


def other_pipeline(kind: Any, base: Base, **parts: Any) -> Any:
    """A pipeline of another kind on the base's parts, and `parts` beside them."""
    made = kind(**base.pipeline.components, **parts)
    made.set_progress_bar_config(disable=True)
    return made


# What a ControlNet has in common with its denoiser.
SHAPES = (
    "in_channels",
    "out_channels",
    "num_attention_heads",
    "attention_head_dim",
    "num_cross_attention_heads",
    "cross_attention_head_dim",
    "cross_attention_dim",
    "caption_channels",
    "sample_size",
)


def _controlnet(base: Base) -> Any:
    shapes = {name: base.denoiser.config[name] for name in SHAPES}
    with torch.random.fork_rng():
        torch.manual_seed(5)
        control = SanaControlNetModel(num_layers=1, **shapes)
        for block in (control.input_block, *control.controlnet_blocks):
            torch.nn.init.normal_(block.weight, std=0.1)  # it starts at zero, where it does nothing
    return other_pipeline(SanaControlNetPipeline, base, controlnet=control.eval())


OTHERS: dict[str, tuple[str, Any, dict[str, Any]]] = {
    "image to image": (
        "sana-sprint",
        lambda base: other_pipeline(SanaSprintImg2ImgPipeline, base),
        {"image": GREY, "strength": 0.5},
    ),
    "ControlNet": ("sana", _controlnet, {"control_image": GREY}),
}


@pytest.mark.filterwarnings("error:.*edited projections")
@pytest.mark.parametrize("name", list(OTHERS))
def test_in_another_pipeline_the_concept_acts_and_with_its_gates_shut_no_bit_changes(name: str) -> None:
    kind, make, settings = OTHERS[name]
    base = base_of(kind)
    pipe = make(base)
    plain = draw(base, PLAIN, pipe, **settings)
    assert not np.allclose(plain, draw(base, PLAIN), atol=1e-3)
    with edited(base, pipe, **SHUT):
        np.testing.assert_array_equal(draw(base, PLAIN, pipe, **settings), plain)
        shut = draw(base, TAUGHT, pipe, **settings)
    with edited(base, pipe):
        assert not np.allclose(draw(base, TAUGHT, pipe, **settings), shut, atol=1e-3)
    np.testing.assert_array_equal(draw(base, PLAIN, pipe, **settings), plain)


@pytest.mark.parametrize(
    ("kind", "pipeline", "layer"),
    [
        ("sana", SanaPAGPipeline, "transformer_blocks.0"),
        ("pixart-sigma", PixArtSigmaPAGPipeline, "blocks.1"),
    ],
)
def test_guidance_that_runs_the_prompt_a_third_time_is_refused(kind: str, pipeline: Any, layer: str) -> None:
    base = base_of(kind)
    pipe = other_pipeline(pipeline, base, pag_applied_layers=layer)
    with edited(base, pipe), pytest.raises(PerfusionError, match="perturbed attention guidance"):
        draw(base, TAUGHT, pipe)


def saved_lora(base: Base, folder: Path) -> None:
    """A LoRA of this base's denoiser as a file; the base is changed by it."""
    with torch.random.fork_rng():
        torch.manual_seed(7)
        config = LoraConfig(r=2, target_modules=["to_k", "to_v", "to_q"], init_lora_weights=False)
        inject_adapter_in_model(config, base.denoiser, "style")
    layers = get_peft_model_state_dict(base.denoiser, adapter_name="style")
    base.pipeline.save_lora_weights(folder, transformer_lora_layers=layers)


@pytest.mark.parametrize("kind", ["sana", "sana-sprint"])  # no pipeline of the others loads LoRAs
def test_a_lora_from_a_file_stays_in_force(kind: str, tmp_path: Path) -> None:
    saved_lora(base_of(kind), tmp_path)
    base = base_of(kind)
    before = draw(base, PLAIN)
    with edited(base):
        unstyled = draw(base)
        with pytest.raises(PerfusionError, match="before"):
            base.pipeline.load_lora_weights(tmp_path)
        np.testing.assert_array_equal(draw(base), unstyled)
    base.pipeline.load_lora_weights(tmp_path, adapter_name="style")
    styled = draw(base, PLAIN)
    assert not np.allclose(styled, before, atol=1e-4)
    with edited(base, **SHUT):
        np.testing.assert_allclose(draw(base, PLAIN), styled, atol=1e-5)
    with edited(base):
        assert not np.allclose(draw(base), unstyled, atol=1e-4)
