from __future__ import annotations

import json
import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from diffusers import UNet2DConditionModel
from diffusers.loaders.single_file_utils import convert_ldm_unet_checkpoint
from safetensors.torch import save_file
from transformers import CLIPTextConfig, CLIPTextModelWithProjection

import perfusion_core.model.checkpoint_kind as checkpoint_kind_module
import perfusion_core.model.single_file as single_file
from perfusion_core.model.base import load_base
from perfusion_core.model.describe import cross_attentions
from perfusion_core.model.single_file import clip_tokenizer, set_prediction_type
from perfusion_core.sampling.defaults import sampling_defaults
from tests.ldm_checkpoint import Layout

SHIPPED = single_file.CONFIGS
FEW_WORDS = 600
UNET = "model.diffusion_model."


def test_the_tokenizer_is_clips_own() -> None:
    tokenizer = clip_tokenizer()
    assert len(tokenizer) == 49_408
    assert (tokenizer.bos_token_id, tokenizer.eos_token_id, tokenizer.pad_token_id) == (
        49_406,
        49_407,
        49_407,
    )
    # as published with CLIP
    assert tokenizer("a photo of a cat").input_ids == [49_406, 320, 1_125, 539, 320, 2_368, 49_407]
    assert tokenizer("Hello world!").input_ids == [49_406, 3_306, 1_002, 256, 49_407]
    assert clip_tokenizer(pad_token="!").pad_token_id == 0


@pytest.mark.parametrize(
    ("likeness", "expected", "size"),
    [(1.0, "epsilon", 64), (0.07, "v_prediction", 96), (-0.5, "v_prediction", 96)],
)
def test_what_a_denoiser_predicts_is_found_at_the_noisiest_step(
    likeness: float, expected: str, size: int
) -> None:
    class Unet:
        config = SimpleNamespace(in_channels=4, cross_attention_dim=8, sample_size=96)

        def register_to_config(self, **changes: Any) -> None:
            self.config.__dict__.update(changes)

        def __call__(self, noise: torch.Tensor, step: int, encoding: torch.Tensor) -> Any:
            assert step == 999
            other = torch.randn(noise.shape, generator=torch.Generator().manual_seed(3))
            return SimpleNamespace(sample=likeness * noise + (1 - abs(likeness)) * other)

    Unet.config.sample_size = 96
    found: dict[str, str] = {}
    scheduler = SimpleNamespace(register_to_config=lambda **changes: found.update(changes))
    unet = Unet()
    set_prediction_type(SimpleNamespace(unet=unet, scheduler=scheduler))
    assert found == {"prediction_type": expected}
    assert unet.config.sample_size == size


def small_configs(folder: Path, kind: str) -> None:
    """The shipped configurations with fewer channels and layers, everything else as it is."""
    shutil.copytree(SHIPPED, folder, dirs_exist_ok=True)
    few = {"num_hidden_layers": 1, "intermediate_size": 16, "vocab_size": FEW_WORDS}
    levels = {"block_out_channels": [32, 64, 128, 128], "attention_head_dim": 8}
    if kind == "sdxl":
        levels = {
            "block_out_channels": [32, 64, 128],
            "attention_head_dim": [2, 4, 8],
            "cross_attention_dim": 32 + 64,
            "addition_time_embed_dim": 8,
            "projection_class_embeddings_input_dim": 6 * 8 + 64,
        }
        few |= {"hidden_size": 32, "num_attention_heads": 4}
    second = {"hidden_size": 64, "projection_dim": 64}
    for part, changes in {
        "unet": levels,
        "vae": {"block_out_channels": [32, 64, 128, 128]},
        "text_encoder": few,
        "text_encoder_2": few | second,
    }.items():
        path = folder / kind / part / "config.json"
        if path.exists():
            path.write_text(json.dumps({**json.loads(path.read_text("utf-8")), **changes}), "utf-8")


LAYOUTS = {
    "sd1": Layout(32, 768, 1, 16, FEW_WORDS, 32),
    "sd2": Layout(32, 1024, 1, 16, FEW_WORDS, 32, second=True),
    "sdxl": Layout(32, 32, 1, 16, FEW_WORDS, 32, xl=True, second_width=64, conditions=6 * 8 + 64),
}
ATTENTIONS = {"sd1": 16, "sd2": 16, "sdxl": 70}


@pytest.fixture
def written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """written(kind, name, **changed): random weights of that layout, and the path of their file."""

    def write(kind: str, name: str = "model", **changed: Any) -> tuple[dict[str, torch.Tensor], Path]:
        small_configs(tmp_path / "configs", kind)
        monkeypatch.setattr(single_file, "CONFIGS", tmp_path / "configs")
        monkeypatch.setattr(checkpoint_kind_module, "_KINDS", {768: "sd1", 1024: "sd2", 32 + 64: "sdxl"})
        monkeypatch.setenv("HF_HUB_OFFLINE", "1")
        generator = torch.Generator().manual_seed(0)
        weights = LAYOUTS[kind].build(lambda shape: 0.02 * torch.randn(shape, generator=generator))
        weights |= changed.get("more", {})
        for old, new in changed.get("renamed", {}).items():
            weights[new] = weights.pop(old)
        path = tmp_path / f"{name}.safetensors"
        save_file(
            {key: value.to(changed.get("dtype", torch.float32)) for key, value in weights.items()}, path
        )
        return weights, path

    return write


@pytest.mark.parametrize("kind", list(LAYOUTS))
def test_a_checkpoint_of_the_original_format_is_loaded_without_a_network(written: Any, kind: str) -> None:
    weights, path = written(kind)
    base = load_base(path, device="cpu")
    assert base.id == "model"
    assert len(base.description.attention_paths) == ATTENTIONS[kind]
    assert base.description.text_width == LAYOUTS[kind].read_width
    block = "4.1" if kind == "sdxl" else "1.1"
    expected = weights[UNET + f"input_blocks.{block}.transformer_blocks.0.attn2.to_v.weight"]
    first = base.denoiser.get_submodule(base.description.attention_paths[0])
    assert torch.equal(first.to_v.weight, expected)
    words = next(value for name, value in weights.items() if name.endswith("token_embedding.weight"))
    assert torch.equal(base.pipeline.text_encoder.get_input_embeddings().weight, words)
    assert base.pipeline.tokenizer.pad_token_id == (0 if kind == "sd2" else 49_407)
    assert base.scheduler.config.beta_schedule == "scaled_linear"
    if kind != "sd2":
        assert base.description.prediction_type == "epsilon"


COMFY = {
    "conditioner.embedders.0.transformer.text_model.embeddings.position_ids": torch.arange(77)[None],
    "conditioner.embedders.0.logit_scale": torch.tensor(4.6),
    "denoiser.sigmas": torch.zeros(1000),
}
SECOND = "conditioner.embedders.1.model."
PROJECTION = f"{SECOND}text_projection"


@pytest.mark.parametrize(
    "tool",
    [
        {},
        {"more": COMFY, "dtype": torch.float16},  # ComfyUI
        {"renamed": {PROJECTION: f"{PROJECTION}.weight"}},  # diffusers' conversion script
    ],
)
def test_every_weight_of_an_sdxl_file_is_where_it_belongs(written: Any, tool: dict[str, Any]) -> None:
    weights, path = written("sdxl", **tool)
    base = load_base(path, device="cpu")
    pipe: Any = base.pipeline
    assert base.family.name == "sdxl"
    assert not [name for part in base.family.parts for name, p in parameters(pipe, part) if p.is_meta]
    counted = sum(p.numel() for part in base.family.parts for _, p in parameters(pipe, part))
    layout = LAYOUTS["sdxl"].build(torch.zeros)
    assert counted == sum(value.numel() for value in layout.values()) - 1  # but for the logit scale
    stored = {key: value.to(tool.get("dtype", torch.float32)).float() for key, value in weights.items()}
    # OpenCLIP multiplies by its matrix from the right; under .weight it is a linear layer's, as here.
    projection = stored[PROJECTION].T if PROJECTION in stored else stored[f"{PROJECTION}.weight"]
    assert torch.equal(pipe.text_encoder_2.text_projection.weight, projection)
    assert pipe.text_encoder_2.text_projection.weight.is_contiguous()
    named = dict(parameters(pipe, "text_encoder_2"))
    query = next(p for name, p in named.items() if name.endswith("layers.0.self_attn.q_proj.weight"))
    assert torch.equal(query, stored[f"{SECOND}transformer.resblocks.0.attn.in_proj_weight"][:64])
    told = stored[UNET + "label_emb.0.0.weight"]
    assert torch.equal(pipe.unet.add_embedding.linear_1.weight, told)
    deep = stored[UNET + "output_blocks.2.1.transformer_blocks.9.attn2.to_k.weight"]
    found = pipe.unet.get_submodule("up_blocks.0.attentions.2.transformer_blocks.9.attn2.to_k")
    assert torch.equal(found.weight, deep)
    assert (pipe.tokenizer.pad_token_id, pipe.tokenizer_2.pad_token_id) == (49_407, 0)


def test_the_shipped_sdxl_configuration_and_the_original_layout_fit_each_other_in_full_size() -> None:
    with torch.device("meta"):
        shipped = UNet2DConditionModel.load_config(SHIPPED / "sdxl" / "unet")
        unet: Any = UNet2DConditionModel.from_config(shipped)
        config = CLIPTextConfig.from_pretrained(SHIPPED / "sdxl" / "text_encoder_2")
        second = CLIPTextModelWithProjection(config)
    file = Layout(xl=True).build(lambda shape: torch.empty(shape, device="meta"))
    converted = convert_ldm_unet_checkpoint(file, unet.config)
    assert {name: p.shape for name, p in unet.named_parameters()} == {
        name: tensor.shape for name, tensor in converted.items()
    }
    assert sum(p.numel() for p in unet.parameters()) == 2_567_463_684  # as published
    assert len(cross_attentions(unet)) == 70
    assert sum(p.numel() for p in second.parameters()) == 694_659_840


def parameters(pipe: Any, part: str) -> list[tuple[str, torch.Tensor]]:
    return list(getattr(pipe, part).named_parameters())


def test_how_an_sdxl_denoiser_was_trained_and_its_size_are_read_from_marks_and_name(written: Any) -> None:
    marked = {"v_pred": torch.zeros(1), "ztsnr": torch.zeros(1)}
    _, path = written("sdxl", more=marked)
    base = load_base(path, device="cpu")
    assert base.description.prediction_type == "v_prediction"
    assert base.scheduler.config.rescale_betas_zero_snr
    assert base.description.image_size == 1024
    _, path = written("sdxl", "sd_xl_turbo_1.0_fp16")
    turbo = load_base(path, device="cpu")
    assert turbo.description.prediction_type == "epsilon"
    assert turbo.description.image_size == 512
    assert sampling_defaults(turbo).steps == 4
    _, path = written("sdxl", "sdxl_lightning_1step_x0")
    single = load_base(path, device="cpu")
    assert single.description.prediction_type == "sample"
    assert sampling_defaults(single).steps == 1
