from __future__ import annotations

import json
import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

import perfusion_core.model.single_file as single_file
from perfusion_core.errors import BaseModelError
from perfusion_core.model.base import load_base
from perfusion_core.model.checkpoint_kind import checkpoint_kind
from perfusion_core.model.single_file import clip_tokenizer, set_prediction_type
from tests.ldm_checkpoint import Layout

FEW_WORDS = 600
UNET = "model.diffusion_model."
READS = UNET + "input_blocks.{}.1.transformer_blocks.0.attn2.to_k.weight"


def checkpoint(path: Path, **shapes: tuple[int, ...]) -> Path:
    save_file({name: torch.zeros(shape) for name, shape in shapes.items()}, path)
    return path


@pytest.mark.parametrize(("width", "kind"), [(768, "sd1"), (1024, "sd2")])
def test_a_checkpoint_is_known_by_what_its_denoiser_reads(tmp_path: Path, width: int, kind: str) -> None:
    shapes = {UNET + "input_blocks.0.0.weight": (320, 4, 3, 3), READS.format(1): (320, width)}
    assert checkpoint_kind(checkpoint(tmp_path / "a.safetensors", **shapes)) == kind


@pytest.mark.parametrize(
    ("shapes", "words"),
    [
        ({READS.format(4): (640, 2048), "conditioner.embedders.0.x": (1,)}, "SDXL"),
        ({"model.diffusion_model.joint_blocks.0.x": (1,)}, "Stable Diffusion 3"),
        ({"double_blocks.0.img_attn.norm.key_norm.scale": (1,)}, "Flux"),
        ({"lora_unet_down_blocks_0.alpha": (1,)}, "a LoRA"),
        ({"control_model.time_embed.0.weight": (1,)}, "ControlNet"),
        ({"down_blocks.0.resnets.0.conv1.weight": (1,)}, "one part of a model"),
        ({"something": (1,)}, "no checkpoint of a kind that is supported"),
        ({UNET + "input_blocks.0.0.weight": (320, 9, 3, 3), READS.format(1): (320, 768)}, "inpainting"),
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
    shapes = {UNET + "input_blocks.0.0.weight": (320, 4, 3, 3), READS.format(1): (320, 768)}
    path = checkpoint(tmp_path / "bare.safetensors", **shapes)
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
    shutil.copytree(single_file.CONFIGS, folder)
    for part, changes in {
        "unet": {"block_out_channels": [32, 64, 128, 128], "attention_head_dim": 8},
        "vae": {"block_out_channels": [32, 64, 128, 128]},
        "text_encoder": {"num_hidden_layers": 1, "intermediate_size": 16, "vocab_size": FEW_WORDS},
    }.items():
        path = folder / kind / part / "config.json"
        path.write_text(json.dumps({**json.loads(path.read_text("utf-8")), **changes}), "utf-8")


@pytest.mark.parametrize(
    ("kind", "layout"),
    [
        ("sd1", Layout(32, 768, 1, 16, FEW_WORDS, 32)),
        ("sd2", Layout(32, 1024, 1, 16, FEW_WORDS, 32, second=True)),
    ],
)
def test_a_checkpoint_of_the_original_format_is_loaded_without_a_network(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str, layout: Layout
) -> None:
    small_configs(tmp_path / "configs", kind)
    monkeypatch.setattr(single_file, "CONFIGS", tmp_path / "configs")
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    generator = torch.Generator().manual_seed(0)
    weights = layout.build(lambda shape: 0.02 * torch.randn(shape, generator=generator))
    save_file(weights, tmp_path / "model.safetensors")
    base = load_base(tmp_path / "model.safetensors", device="cpu")
    assert base.id == "model"
    assert len(base.description.attention_paths) == 16
    assert base.description.text_width == layout.text_width
    expected = weights[UNET + "input_blocks.1.1.transformer_blocks.0.attn2.to_v.weight"]
    first = base.unet.get_submodule("down_blocks.0.attentions.0.transformer_blocks.0.attn2")
    assert torch.equal(first.to_v.weight, expected)
    words = next(value for name, value in weights.items() if name.endswith("token_embedding.weight"))
    assert torch.equal(base.text_encoder.get_input_embeddings().weight, words)
    assert base.tokenizer.pad_token_id == (49_407 if kind == "sd1" else 0)
    assert base.scheduler.config.beta_schedule == "scaled_linear"
    if kind == "sd1":
        assert base.description.prediction_type == "epsilon"
