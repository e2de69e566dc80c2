from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from diffusers import DDIMScheduler, UNet2DConditionModel
from peft import LoraConfig

import perfusion_core.model
from perfusion_core.errors import BaseModelError
from perfusion_core.model.describe import cross_attentions, describe
from perfusion_core.model.inject import inject

CONFIGS = Path(perfusion_core.model.__file__).parent / "configs"


def true_unet(kind: str) -> Any:
    """The denoiser of the real model, without memory for its weights."""
    config = json.loads((CONFIGS / kind / "unet" / "config.json").read_text("utf-8"))
    with torch.device("meta"):
        return UNet2DConditionModel.from_config(config)


class Parts:
    """A pipeline's parts, as much of them as `describe` looks at."""

    vae = SimpleNamespace(config=SimpleNamespace(latent_channels=4, block_out_channels=(128, 256, 512, 512)))

    def __init__(self, unet: Any, scheduler: Any) -> None:
        self.unet, self.scheduler = unet, scheduler


@pytest.mark.parametrize(
    ("kind", "width", "size", "prediction_type"),
    [("sd1", 768, 512, "epsilon"), ("sd2", 1024, 768, "v_prediction")],
)
def test_stable_diffusion_has_sixteen_layers(kind: str, width: int, size: int, prediction_type: str) -> None:
    scheduler = DDIMScheduler.from_config(
        json.loads((CONFIGS / kind / "scheduler" / "scheduler_config.json").read_text("utf-8"))
    )
    found = describe(Parts(true_unet(kind), scheduler))
    assert len(found.attention_paths) == 16
    assert all(path.endswith(".attn2") for path in found.attention_paths)
    assert "down_blocks.0.attentions.0.transformer_blocks.0.attn2" in found.attention_paths
    assert found.text_width == width
    assert found.image_size == size
    assert found.prediction_type == prediction_type
    assert 2 * sum(found.output_widths.values()) == 24_960
    assert len(found.projections) == 32


@pytest.mark.parametrize(("kind", "width"), [("sd1", 768), ("sd2", 1024)])
def test_true_stable_diffusion_is_injected_and_ejected(kind: str, width: int) -> None:
    unet = true_unet(kind)
    shown = repr(unet)

    class Fitting:
        name = "biscuit"
        target_input = superclass_encoding = torch.ones(width)
        values = {path: torch.ones(a.to_v.out_features) for path, a in cross_attentions(unet).items()}  # noqa: RUF012
        keys = None

    injection = inject(unet, [Fitting()], torch.eye(width))
    assert len(injection.projections) == 32
    injection.eject()
    assert repr(unet) == shown


def test_attentions_are_found_by_what_they_are(tiny_pipe: Any) -> None:
    found = cross_attentions(tiny_pipe.unet)
    # one of them has keys as wide as its queries, so widths could not tell it from self-attention
    assert len(found) == 4
    assert any(a.to_k.in_features == a.to_q.in_features for a in found.values())
    assert all(path.endswith("attn2") for path in found)


def test_without_a_flag_the_widths_decide() -> None:
    class Attention(torch.nn.Module):
        def __init__(self, queries: int, keys: int) -> None:
            super().__init__()
            self.to_q, self.to_k = torch.nn.Linear(queries, 4), torch.nn.Linear(keys, 4)
            self.to_v = torch.nn.Linear(keys, 4)

    class Denoiser(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.itself, self.text, self.projection = Attention(8, 8), Attention(8, 6), torch.nn.Linear(8, 8)

    assert list(cross_attentions(Denoiser())) == ["text"]


def test_lora_wrappers_hide_nothing(tiny_pipe: Any) -> None:
    before = describe(tiny_pipe)
    tiny_pipe.unet.add_adapter(LoraConfig(r=2, target_modules=["to_k", "to_v"]))
    assert describe(tiny_pipe) == before


def test_the_tiny_pipeline_is_described(tiny_pipe: Any) -> None:
    found = describe(tiny_pipe)
    assert (found.kind, found.text_width, found.latent_channels, found.image_size) == (
        "stable-diffusion",
        32,
        4,
        64,
    )
    assert sorted(found.output_widths.values()) == [32, 32, 32, 64]


def test_pipelines_of_other_kinds_are_named(tiny_pipe: Any) -> None:
    class StableDiffusionXLPipeline(Parts):
        text_encoder_2 = object()

    with pytest.raises(BaseModelError, match="two text encoders"):
        describe(StableDiffusionXLPipeline(tiny_pipe.unet, tiny_pipe.scheduler))

    class FluxPipeline:
        transformer = object()

    with pytest.raises(BaseModelError, match="FluxPipeline is not supported yet"):
        describe(FluxPipeline())
