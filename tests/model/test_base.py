from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from perfusion_core.errors import BaseModelError
from perfusion_core.model import base as base_module
from perfusion_core.model.base import Base, load_base
from perfusion_core.model.fingerprint import base_fingerprint, text_fingerprint
from perfusion_core.model.listing import available_bases
from tests.tiny_model import save_tiny_base, tiny_pipeline


@pytest.fixture
def folder(tiny_folder: Path, tmp_path: Path) -> Path:
    """A copy of the tiny base to spoil."""
    return Path(shutil.copytree(tiny_folder, tmp_path / "spoilt"))


def change_index(folder: Path, **changes: Any) -> None:
    index = json.loads((folder / "model_index.json").read_text("utf-8"))
    (folder / "model_index.json").write_text(json.dumps({**index, **changes}), "utf-8")


def test_a_folder_is_loaded_frozen(tiny_folder: Path) -> None:
    base = load_base(tiny_folder, device="cpu")
    assert (base.id, base.folder, base.dtype) == ("tiny", tiny_folder, torch.float32)
    for module in (base.unet, base.vae, base.text_encoder):
        assert not module.training
        assert not any(p.requires_grad for p in module.parameters())
    same = tiny_pipeline()
    assert base.fingerprint == base_fingerprint(same.text_encoder, same.unet)
    with torch.no_grad():
        made = base.pipeline("a dog", num_inference_steps=2, output_type="np", generator=torch.manual_seed(0))
    theirs = same("a dog", num_inference_steps=2, output_type="np", generator=torch.manual_seed(0))
    assert np.array_equal(made.images, theirs.images)


def test_the_text_encoder_stays_in_full_precision(tiny_folder: Path) -> None:
    base = load_base(tiny_folder, device="cpu", dtype="bf16")
    assert base.unet.dtype == base.vae.dtype == base.dtype == torch.bfloat16
    assert base.text_encoder.dtype == torch.float32


def test_one_model_has_one_fingerprint_whatever_its_precision(tmp_path: Path) -> None:
    pipe = tiny_pipeline()
    full = Base("full", tiny_pipeline())
    pipe.to(torch.float16).save_pretrained(tmp_path / "half")
    half = load_base(tmp_path / "half", device="cpu")
    assert (half.fingerprint, half.text_fingerprint) == (full.fingerprint, full.text_fingerprint)
    small = Base("small", tiny_pipeline(), dtype=torch.bfloat16)
    assert small.fingerprint == full.fingerprint


def test_other_weights_have_other_fingerprints() -> None:
    pipe = tiny_pipeline()
    text, base = text_fingerprint(pipe.text_encoder), base_fingerprint(pipe.text_encoder, pipe.unet)
    other = tiny_pipeline(seed=1)
    assert text_fingerprint(other.text_encoder) != text
    assert base_fingerprint(pipe.text_encoder, other.unet) != base
    assert base_fingerprint(pipe.text_encoder, pipe.unet) == base


def test_the_pocket_model_is_found_by_its_name(tiny_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PERFUSION_POCKET", str(tiny_folder))
    assert load_base(device="cpu").id == "pocket"
    assert [base.id for base in available_bases()][:1] == ["pocket"]
    monkeypatch.setenv("PERFUSION_POCKET", str(tiny_folder / "nowhere"))
    with pytest.raises(BaseModelError, match="pocket model is missing"):
        load_base(device="cpu")


def test_a_base_is_found_by_its_name_in_the_models_folder(tiny_folder: Path) -> None:
    assert load_base("tiny", device="cpu", models_dir=tiny_folder.parent).folder == tiny_folder


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        ("ZImagePipeline", "Z-Image"),
        ("QwenImagePipeline", "Qwen-Image"),
        ("StableDiffusion3Pipeline", "Stable Diffusion 3"),
        ("FluxPipeline", "FLUX"),
        ("WanPipeline", "video"),
        ("StableDiffusionInpaintPipeline", "inpainting"),
        ("SomethingNewPipeline", "SomethingNewPipeline"),
        (None, "unknown kind"),
    ],
)
def test_other_kinds_of_models_are_named_before_loading(folder: Path, kind: Any, words: str) -> None:
    change_index(folder, _class_name=kind)
    with pytest.raises(BaseModelError, match=f"{words}.*not supported"):
        load_base(folder, device="cpu")


def test_a_model_with_code_of_its_own_is_refused(folder: Path) -> None:
    (folder / "unet" / "evil.py").write_text("raise SystemExit('ran')", "utf-8")
    change_index(folder, unet=["evil", "Evil"])
    with pytest.raises(BaseModelError, match="code of its own for its unet, which is never run"):
        load_base(folder, device="cpu")


def test_a_folder_that_is_no_model_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BaseModelError, match=r"without model_index\.json"):
        load_base(tmp_path, device="cpu")


@pytest.mark.parametrize("text", ["{", "[]", ""])
def test_a_damaged_index_is_refused(folder: Path, text: str) -> None:
    (folder / "model_index.json").write_text(text, "utf-8")
    with pytest.raises(BaseModelError, match=r"model_index\.json"):
        load_base(folder, device="cpu")


def test_a_folder_without_safetensors_is_refused(folder: Path) -> None:
    weights = folder / "unet" / "diffusion_pytorch_model.safetensors"
    torch.save({"a": torch.ones(1)}, weights.with_suffix(".bin"))
    weights.unlink()
    with pytest.raises(BaseModelError, match=r"spoilt could not be loaded.*safetensors"):
        load_base(folder, device="cpu")


def test_truncated_weights_are_refused(folder: Path) -> None:
    weights = folder / "unet" / "diffusion_pytorch_model.safetensors"
    weights.write_bytes(weights.read_bytes()[:5000])
    with pytest.raises(BaseModelError, match="spoilt could not be loaded"):
        load_base(folder, device="cpu")


def test_an_inpainting_denoiser_is_refused(tiny_pipe: Any) -> None:
    tiny_pipe.unet.register_to_config(in_channels=9)
    with pytest.raises(BaseModelError, match="inpainting or editing model"):
        Base("x", tiny_pipe)


@pytest.mark.parametrize("suffix", [".ckpt", ".pt", ".bin"])
def test_a_pickled_checkpoint_is_never_opened(tmp_path: Path, suffix: str) -> None:
    (tmp_path / f"model{suffix}").write_bytes(b"\x80\x04would run code")
    with pytest.raises(BaseModelError, match="can run code when opened"):
        load_base(tmp_path / f"model{suffix}", device="cpu")


def test_a_file_of_another_kind_is_refused(tmp_path: Path) -> None:
    (tmp_path / "model.zip").write_bytes(b"PK")
    with pytest.raises(BaseModelError, match=r"model\.zip is not a model file"):
        load_base(tmp_path / "model.zip", device="cpu")


@pytest.mark.parametrize("reference", ["nothing here", "../up", "a/b/c", "/no/such/folder"])
def test_a_reference_to_nothing_says_what_can_be_given(reference: str) -> None:
    with pytest.raises(BaseModelError, match="no base model at"):
        load_base(reference, device="cpu")


def test_a_missing_model_offline_names_the_ways_to_get_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))

    def offline(*_: Any, **__: Any) -> str:
        raise OSError("no network")

    monkeypatch.setattr("huggingface_hub.hf_hub_download", offline)
    with pytest.raises(
        BaseModelError, match=r"somebody/model is not on this machine.*Connect to the internet"
    ):
        load_base("somebody/model", device="cpu")


def test_an_unknown_precision_is_refused(tiny_folder: Path) -> None:
    with pytest.raises(BaseModelError, match="precision called int8"):
        load_base(tiny_folder, device="cpu", dtype="int8")


def test_models_at_hand_are_listed_with_reasons(
    tiny_folder: Path, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache = tmp_path / "cache"
    monkeypatch.setenv("HF_HUB_CACHE", str(cache))
    monkeypatch.setenv("PERFUSION_POCKET", str(tmp_path / "none"))
    hub = cache / "models--somebody--model" / "snapshots" / "abc"
    shutil.copytree(folder, hub)
    models = tmp_path / "models"
    shutil.copytree(folder, models / "other")
    change_index(models / "other", _class_name="FluxPipeline")
    save_file({"a": torch.ones(1)}, models / "single.safetensors")
    (models / "notes.txt").write_text("x", "utf-8")
    found = {base.title: base for base in available_bases(models)}
    assert set(found) == {"other", "single", "somebody/model"}
    assert not found["other"].supported
    assert not found["single"].supported
    assert "no checkpoint of a kind" in found["single"].reason
    assert "FLUX" in found["other"].reason
    assert found["somebody/model"].supported
    assert found["somebody/model"].path == hub


def test_listing_needs_no_torch() -> None:
    code = (
        "import sys, perfusion_core.model.listing as m; m.available_bases(); sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], cwd=Path(__file__).parents[2]).returncode == 0


def test_loading_leaves_the_libraries_messages_as_they_were(tmp_path: Path) -> None:
    from diffusers.utils import logging

    before = logging.get_verbosity(), logging.is_progress_bar_enabled()
    load_base(save_tiny_base(tmp_path / "tiny"), device="cpu")
    assert (logging.get_verbosity(), logging.is_progress_bar_enabled()) == before


def test_a_folder_of_half_precision_files_only_is_loaded(tmp_path: Path) -> None:
    pipe = tiny_pipeline()
    pipe.to(torch.float16).save_pretrained(tmp_path / "half", variant="fp16")
    assert not list((tmp_path / "half").rglob("diffusion_pytorch_model.safetensors"))
    base = load_base(tmp_path / "half", device="cpu")
    assert base.fingerprint == Base("full", tiny_pipeline()).fingerprint


def test_a_cached_hub_model_of_half_precision_files_only_is_loaded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    repository = tmp_path / "models--someone--half"
    tiny_pipeline().to(torch.float16).save_pretrained(repository / "snapshots" / "abc", variant="fp16")
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text("abc")
    assert load_base("someone/half", device="cpu").id == "someone/half"


@pytest.mark.parametrize(
    ("complaint", "variants"),
    [
        (ValueError("There are files of the variant fp16 only."), [None, "fp16"]),
        (OSError("Error no file named model.safetensors; try variant=fp16"), [None, "fp16"]),
        (ValueError("The weights are damaged."), [None]),
    ],
)
def test_a_hub_model_of_half_precision_files_only_is_fetched_as_such(
    tiny_folder: Path, tiny_pipe: Any, monkeypatch: pytest.MonkeyPatch, complaint: Exception, variants: Any
) -> None:
    fetched: list[str | None] = []

    def loaded(
        _source: Any, *_: Any, local_files_only: bool = False, variant: str | None = None, **__: Any
    ) -> Any:
        if local_files_only:
            raise OSError("not in the cache")
        fetched.append(variant)
        if variant is None:
            raise complaint
        return tiny_pipe

    monkeypatch.setattr(base_module, "_loaded", loaded)
    monkeypatch.setattr(base_module, "hub_index", lambda _reference: tiny_folder / "model_index.json")
    monkeypatch.setattr(base_module, "require_hub", lambda _reference: None)
    if "fp16" in variants:
        assert load_base("someone/half", device="cpu").id == "someone/half"
    else:
        with pytest.raises(
            BaseModelError, match=r"someone/half could not be loaded \(The weights are damaged"
        ):
            load_base("someone/half", device="cpu")
    assert fetched == variants
