from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from diffusers import DDIMScheduler, UNet2DConditionModel
from peft import LoraConfig

import perfusion_core.model
from perfusion_core.errors import BaseModelError
from perfusion_core.model.applied import applied
from perfusion_core.model.base import Base
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
    class SomethingNewPipeline(Parts):
        text_encoder_3 = object()

    with pytest.raises(BaseModelError, match=r"SomethingNewPipeline.*not supported"):
        describe(SomethingNewPipeline(tiny_pipe.unet, tiny_pipe.scheduler))

    class FluxPipeline:
        transformer = object()

    with pytest.raises(BaseModelError, match=r"FLUX model, which is not supported.*SDXL"):
        describe(FluxPipeline())


def only_cross_attention_unet(**changes: Any) -> UNet2DConditionModel:
    """Blocks in which both attentions read the text, and others with a self-attention."""
    settings: dict[str, Any] = {
        "sample_size": 8,
        "block_out_channels": (32, 64),
        "layers_per_block": 1,
        "down_block_types": ("CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
        "up_block_types": ("CrossAttnUpBlock2D", "CrossAttnUpBlock2D"),
        "cross_attention_dim": 32,
        "attention_head_dim": 4,
        "norm_num_groups": 8,
        "only_cross_attention": (True, False),
        "mid_block_only_cross_attention": False,
    }
    with torch.random.fork_rng():
        torch.manual_seed(3)
        return UNet2DConditionModel(**{**settings, **changes}).eval().requires_grad_(False)


def test_both_attentions_of_a_block_that_only_reads_the_text_are_found() -> None:
    found = list(cross_attentions(only_cross_attention_unet()))
    # 32 channels in the outer blocks: there a self-attention would have the very widths of the text.
    first = [path for path in found if "attn1" in path]
    assert first == [
        "down_blocks.0.attentions.0.transformer_blocks.0.attn1",
        "up_blocks.1.attentions.0.transformer_blocks.0.attn1",
        "up_blocks.1.attentions.1.transformer_blocks.0.attn1",
    ]
    assert len([path for path in found if "attn2" in path]) == 7
    widths_alike = only_cross_attention_unet(only_cross_attention=False)
    assert not any("attn1" in path for path in cross_attentions(widths_alike))


def test_a_second_attention_that_reads_the_image_again_is_left_alone() -> None:
    from diffusers.models.attention import BasicTransformerBlock

    twice = torch.nn.ModuleDict(
        {"block": BasicTransformerBlock(32, 4, 8, cross_attention_dim=32, double_self_attention=True)}
    )
    assert cross_attentions(twice) == {}


@pytest.mark.parametrize("lock", ["local", "global"])
def test_a_concept_acts_through_every_projection_that_reads_the_text(
    tiny_pipe: Any, make_concept: Any, tiny_covariance: Any, lock: Any
) -> None:
    tiny_pipe.register_modules(unet=only_cross_attention_unet())
    base = Base("only-cross", tiny_pipe)
    concept = make_concept(base)
    assert len(concept.values) == 10

    def made(prompt: str) -> Any:
        options = {"num_inference_steps": 2, "output_type": "np"}
        return tiny_pipe(prompt, generator=torch.Generator().manual_seed(0), **options).images

    plain = made("a photo of a dog")
    with applied(tiny_pipe, [concept], lock=lock, inverse_covariance=tiny_covariance) as conditioning:
        called: set[str] = set()
        for projection in conditioning.injection.projections:
            projection.register_forward_hook(
                lambda module, _i, _o: called.add(f"{module.path}.{module.role}")
            )
        taught = made("a photo of a <biscuit>")
    assert len(called) == 20
    assert not np.allclose(taught, plain, atol=1e-3)
    assert np.array_equal(made("a photo of a dog"), plain)


@pytest.mark.parametrize("change", ["cross_attention_norm", "encoder_hid_dim"])
def test_a_base_that_changes_encodings_on_the_way_to_its_projections_is_refused(
    tiny_pipe: Any, change: str
) -> None:
    settings: dict[str, Any] = {
        "cross_attention_norm": {
            "cross_attention_norm": "layer_norm",
            "down_block_types": DOWN,
            "up_block_types": UP,
        },
        "encoder_hid_dim": {"encoder_hid_dim": 32, "encoder_hid_dim_type": "text_proj"},
    }[change]
    tiny_pipe.register_modules(unet=only_cross_attention_unet(only_cross_attention=False, **settings))
    with pytest.raises(BaseModelError, match="changes the text's encodings"):
        describe(tiny_pipe)


DOWN, UP = ("SimpleCrossAttnDownBlock2D", "DownBlock2D"), ("UpBlock2D", "SimpleCrossAttnUpBlock2D")
