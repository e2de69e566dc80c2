"""What a single file is, from its header; every kind that can be no base is named with its reason."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from perfusion_core.errors import BaseModelError
from perfusion_core.model.base import load_base
from perfusion_core.model.checkpoint_kind import checkpoint_kind

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
        (
            {"net.blocks.0.adaln_modulation_cross_attn.1.weight": (1,)},
            "Cosmos-Predict2 without.*diffusers folder",
        ),
        (
            {"net.llm_adapter.norm.weight": (1,), "net.blocks.0.adaln_modulation_cross_attn.1.weight": (1,)},
            "an Anima model.*two places",
        ),
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
