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
from perfusion_core.errors import BaseModelError
from perfusion_core.model.base import load_base
from perfusion_core.model.checkpoint_kind import checkpoint_kind
from perfusion_core.model.describe import cross_attentions
from perfusion_core.model.single_file import clip_tokenizer, set_prediction_type
from perfusion_core.sampling.defaults import sampling_defaults
from tests.ldm_checkpoint import Layout

SHIPPED = single_file.CONFIGS
FEW_WORDS = 600
UNET = "model.diffusion_model."
READS = UNET + "input_blocks.{}.1.transformer_blocks.0.attn2.to_k.weight"


def checkpoint(path: Path, **shapes: tuple[int, ...]) -> Path:
    save_file({name: torch.zeros(shape) for name, shape in shapes.items()}, path)
    return path


CLIP = "{}.transformer.text_model.embeddings.position_embedding.weight"
ENTRY, VAE = {UNET + "input_blocks.0.0.weight": (320, 4, 3, 3)}, {"first_stage_model.quant_conv.weight": (8,)}
DEEP = {UNET + "input_blocks.7.1.transformer_blocks.9.attn2.to_k.weight": (1280, 2048)}
TEXT_XL = {CLIP.format("conditioner.embedders.0"): (77, 768), "conditioner.embedders.1.model.x": (1,)}
FILES: dict[str, dict[str, tuple[int, ...]]] = {
    "sd1": {READS.format(1): (320, 768), CLIP.format("cond_stage_model"): (77, 768), **ENTRY, **VAE},
    "sd2": {READS.format(1): (320, 1024), "cond_stage_model.model.x": (1,), **ENTRY, **VAE},
    "sdxl": {READS.format(4): (640, 2048), **TEXT_XL, **DEEP, **ENTRY, **VAE},
}


@pytest.mark.parametrize("kind", list(FILES))
def test_a_checkpoint_is_known_by_what_its_denoiser_reads(tmp_path: Path, kind: str) -> None:
    assert checkpoint_kind(checkpoint(tmp_path / "a.safetensors", **FILES[kind])) == kind


def without(kind: str, *starts: str) -> dict[str, tuple[int, ...]]:
    return {name: shape for name, shape in FILES[kind].items() if not name.startswith(starts)}


@pytest.mark.parametrize(
    ("shapes", "words"),
    [
        ({"model.diffusion_model.joint_blocks.0.x": (1,)}, "Stable Diffusion 3 model.*together.*Use SDXL"),
        ({"double_blocks.0.img_attn.norm.key_norm.scale": (1,)}, "FLUX.*text and image together.*Use SDXL"),
        ({UNET + "double_blocks.0.img_mod.lin.weight": (1,)}, "FLUX"),
        ({UNET + "distilled_guidance_layer.x": (1,), UNET + "double_blocks.0.x": (1,)}, "joint attention"),
        ({"transformer_blocks.0.img_mlp.x": (1,), "txt_norm.weight": (1,)}, "Qwen-Image"),
        ({"layers.0.adaLN_modulation.0.weight": (1,), "cap_embedder.0.weight": (1,)}, "Z-Image"),
        ({UNET + "cap_embedder.0.weight": (1,)}, "joint attention"),
        ({UNET + "head.modulation": (1,)}, "a video model.*Use a model for single images"),
        ({UNET + "patchify_proj.weight": (1,)}, "a video model"),
        ({"txt_in.individual_token_refiner.blocks.0.x": (1,), "double_blocks.0.x": (1,)}, "a video model"),
        ({UNET + "input_blocks.1.1.time_stack.0.x": (1,), **FILES["sd2"]}, "a video model"),
        ({"down_blocks.0.motion_modules.0.x": (1,)}, "a video model"),
        ({READS.format(4): (768, 1280), "conditioner.embedders.0.model.x": (1,)}, "SDXL refiner.*it refines"),
        ({**FILES["sdxl"], "edm_mean": (4,)}, "Playground 2.5"),
        ({**FILES["sdxl"], "edm_vpred.sigma_max": (1,)}, "CosXL"),
        (without("sdxl", UNET + "input_blocks.7"), r"smaller denoiser than SDXL's \(SSD-1B"),
        (without("sdxl", "conditioner"), "without text encoders"),
        (without("sdxl", "conditioner.embedders.1"), "text encoders of another kind"),
        (without("sd1", "first_stage_model"), "no autoencoder"),
        ({"lora_unet_down_blocks_0.alpha": (1,)}, "a LoRA"),
        ({"transformer.single_transformer_blocks.0.attn.to_k.lora_A.weight": (1,)}, "a LoRA"),
        ({"1.to_k_ip.weight": (1,)}, "an IP-Adapter"),
        ({"control_model.time_embed.0.weight": (1,)}, "ControlNet"),
        ({"t_block.1.weight": (1,)}, "PixArt without its text encoder.*diffusers folder"),
        ({"down_blocks.0.resnets.0.conv1.weight": (1,)}, "one part of a model"),
        ({"something": (1,)}, "no checkpoint of a kind that is supported"),
        ({**FILES["sd1"], UNET + "input_blocks.0.0.weight": (320, 9, 3, 3)}, "inpainting"),
        (
            {**FILES["sdxl"], UNET + "input_blocks.0.0.weight": (320, 9, 3, 3)},
            "inpainting.*Use the plain",
        ),
    ],
)
def test_other_files_are_named(tmp_path: Path, shapes: dict[str, tuple[int, ...]], words: str) -> None:
    path = checkpoint(tmp_path / "other.safetensors", **shapes)
    with pytest.raises(BaseModelError, match=rf"other\.safetensors .*{words}"):
        load_base(path, device="cpu")


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\x80\x04pickle",
        b"PK\x03\x04",
        b"\xff" * 100,
        b"\x02" + b"\0" * 7 + b"[]",
        b"\x09" + b"\0" * 7 + b'{"a": [1]}',
    ],
)
def test_what_is_no_safetensors_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "model.safetensors").write_bytes(content)
    with pytest.raises(BaseModelError, match=r"model\.safetensors is not a whole \.safetensors file"):
        load_base(tmp_path / "model.safetensors", device="cpu")


def test_a_checkpoint_that_lacks_a_part_is_refused(tmp_path: Path) -> None:
    path = checkpoint(tmp_path / "bare.safetensors", **FILES["sd1"])
    with pytest.raises(BaseModelError, match=r"bare\.safetensors could not be loaded"):
        load_base(path, device="cpu")


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


@pytest.mark.parametrize(
    "tool",
    [
        {},
        {"more": COMFY, "dtype": torch.float16},  # ComfyUI
        {"renamed": {f"{SECOND}text_projection": f"{SECOND}text_projection.weight"}},
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
    projection = next(value for key, value in stored.items() if "1.model.text_projection" in key)
    assert torch.equal(pipe.text_encoder_2.text_projection.weight, projection.T)
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
