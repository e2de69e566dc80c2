"""Every family from a diffusers folder, and the statistics of its text."""

from __future__ import annotations

import hashlib
import json
import os
import socket
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from perfusion_core.errors import BaseModelError
from perfusion_core.model import statistics
from perfusion_core.model.base import Base, available_bases, load_base
from perfusion_core.model.families.registry import FAMILIES, family_of, family_of_class, family_of_index
from perfusion_core.model.statistics import covariance_for
from tests.tiny_cosmos import install_guardrail
from tests.tiny_families import PIPELINES, plain_options, tiny_family

KINDS = list(PIPELINES)
CAPTIONS = ["a photo of a dog", "two cats in snow", "a red cup on the table, next to a hat"]


def draw(pipe: Any, kind: str) -> Any:
    generator = torch.Generator().manual_seed(0)
    return np.asarray(pipe("a photo of a dog", generator=generator, **plain_options(kind)).images)


@pytest.mark.parametrize("variant", [None, "fp16"])
@pytest.mark.parametrize("kind", KINDS)
def test_a_folder_is_loaded_with_and_without_a_variant(
    kind: str, variant: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    install_guardrail(monkeypatch)
    pipe = tiny_family(kind)
    pipe.save_pretrained(tmp_path / "models" / kind, variant=variant)
    base = load_base(kind, device="cpu", models_dir=tmp_path / "models")
    assert type(base.pipeline) is type(pipe)
    assert base.folder == tmp_path / "models" / kind
    assert base.fingerprint == Base("whole", tiny_family(kind)).fingerprint
    rounded = any(encoder.large for encoder in base.family.encoders)  # to half precision, on its way in
    expected = draw(pipe, kind)
    most = max(1.0, np.abs(expected).max()) * (1e-3 if rounded else 1e-5)
    np.testing.assert_allclose(draw(base.pipeline, kind), expected, atol=most)
    (listed,) = [each for each in available_bases(tmp_path / "models") if each.id.endswith(kind)]
    assert listed.supported
    assert listed.parts == base.family.parts


def as_in_the_hubs_cache(folder: Path, cache: Path, reference: str) -> None:
    """The files as a download leaves them: contents named by their hashes, and links to these."""
    repository = cache / f"models--{reference.replace('/', '--')}"
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        blob = repository / "blobs" / hashlib.sha256(path.read_bytes()).hexdigest()
        link = repository / "snapshots" / "abc" / path.relative_to(folder)
        for place in (blob, link):
            place.parent.mkdir(parents=True, exist_ok=True)
        blob.write_bytes(path.read_bytes())
        link.symlink_to(os.path.relpath(blob, link.parent))
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text("abc", "utf-8")


@pytest.mark.parametrize("variant", [None, "fp16"])
@pytest.mark.parametrize("kind", KINDS)
def test_a_model_in_the_hubs_cache_is_loaded_without_the_network(
    kind: str, variant: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    install_guardrail(monkeypatch)
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_DISABLE_TELEMETRY", True)  # as the app has it
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: pytest.fail("the network was asked"))
    pipe = tiny_family(kind)
    pipe.save_pretrained(tmp_path / "saved", variant=variant)
    as_in_the_hubs_cache(tmp_path / "saved", tmp_path / "cache", f"someone/{kind}")
    base = load_base(f"someone/{kind}", device="cpu")
    assert type(base.pipeline) is type(pipe)
    assert base.id == f"someone/{kind}"
    assert base.fingerprint == Base("whole", tiny_family(kind)).fingerprint
    (listed,) = [each for each in available_bases() if each.id == f"someone/{kind}"]
    assert listed.supported


@pytest.mark.parametrize("kind", KINDS)
def test_a_pipeline_is_of_the_family_that_its_index_names(kind: str) -> None:
    pipe = tiny_family(kind)
    assert family_of(pipe) is family_of_class(type(pipe).__name__, kind)
    assert family_of_index({"_class_name": type(pipe).__name__}, kind) is family_of(pipe)


def test_families_have_names_of_their_own() -> None:
    assert len({family.name for family in FAMILIES}) == len(FAMILIES)
    classes = [name for family in FAMILIES for name in family.pipelines]
    assert len(set(classes)) == len(classes)


@pytest.mark.parametrize(
    ("class_name", "words"),
    [
        ("StableDiffusion3Pipeline", "text and image together.*Use SDXL"),
        ("FluxPipeline", "FLUX.*text and image together"),
        ("QwenImagePipeline", "Qwen-Image.*text and image together"),
        ("ZImagePipeline", "Z-Image.*text and image together"),
        ("StableDiffusionXLInpaintPipeline", "inpainting.*plain model it was made from"),
        ("StableDiffusionInpaintPipeline", "inpainting.*plain model it was made from"),
        ("StableVideoDiffusionPipeline", "video.*single images"),
        ("WanPipeline", "video.*single images"),
        ("SanaVideoPipeline", "video.*such as SDXL or Sana"),
        ("CosmosTextToWorldPipeline", "video.*single images"),
        ("Cosmos2VideoToWorldPipeline", "video.*single images"),
        ("HunyuanDiTPipeline", "Hunyuan-DiT.*two text encoders"),
        ("AnimaModularPipeline", "Anima.*two places.*Use Cosmos-Predict2"),
        ("AnimateDiffPipeline", "video.*single images"),
        ("NobodysPipeline", "a NobodysPipeline.*Use Stable Diffusion 1.x or 2.x, SDXL"),
    ],
)
def test_what_cannot_be_used_is_refused_with_reason_and_what_to_use(class_name: str, words: str) -> None:
    with pytest.raises(BaseModelError, match=words):
        family_of_index({"_class_name": class_name}, "somebody's model")
    pipeline = type(class_name, (), {"transformer": object()})()
    with pytest.raises(BaseModelError, match=words):
        family_of(pipeline)


def test_code_of_a_models_own_is_never_run(tmp_path: Path) -> None:
    tiny_family("pixart-sigma").save_pretrained(tmp_path / "spoilt")
    index = json.loads((tmp_path / "spoilt" / "model_index.json").read_text())
    index["transformer"] = ["transformer", "MyTransformer"]
    (tmp_path / "spoilt" / "model_index.json").write_text(json.dumps(index))
    with pytest.raises(BaseModelError, match="code of its own for its transformer"):
        load_base(tmp_path / "spoilt", device="cpu")


@pytest.mark.parametrize("kind", KINDS)
def test_statistics_are_those_of_what_the_projections_read(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    base = Base(kind, tiny_family(kind))
    read: list[torch.Tensor] = []
    layer = base.denoiser.get_submodule(base.description.attention_paths[0])
    handle = layer.to_k.register_forward_pre_hook(lambda _m, inputs: read.append(inputs[0][-1]))
    rows: list[torch.Tensor] = []
    options = {**plain_options(kind), "guidance_scale": 1.0}
    for caption in CAPTIONS:
        base.pipeline(caption, **{**options, "num_inference_steps": 2})
        encoded = base.prompts.encode([caption], {})
        ids = base.tokenizer(caption).input_ids
        kept = len(ids) if encoded.mask is None else int(encoded.mask[0].sum())
        left = base.family.encoders[0].left
        rows.append(read[-1][-kept:] if left else read[-1][:kept])
    handle.remove()
    encodings = torch.cat(rows).double()
    moment = (encodings.T @ encodings / len(encodings)).numpy()
    ridge = statistics.RIDGE * np.trace(moment) / len(moment)
    expected = np.linalg.inv(moment + ridge * np.eye(len(moment)))
    found = covariance_for(base, tmp_path, captions=CAPTIONS, progress=False)
    np.testing.assert_allclose(found.inverse.numpy(), expected, atol=1e-3 * np.abs(expected).max())

    monkeypatch.setattr(statistics, "compute", lambda *_, **__: pytest.fail("computed again"))
    again = covariance_for(base.pipeline, tmp_path, captions=CAPTIONS, progress=False)
    assert torch.equal(again.inverse, found.inverse)
    assert again.fingerprint == found.fingerprint


def test_statistics_follow_what_the_text_passes_in_the_denoiser() -> None:
    base, other = (Base("pixart", tiny_family("pixart-sigma")) for _ in range(2))
    assert base.text_fingerprint == other.text_fingerprint
    pipe = tiny_family("pixart-sigma")
    pipe.transformer.caption_projection.linear_1.weight.data.mul_(1.5)
    changed = Base("pixart", pipe)
    assert changed.text_fingerprint != base.text_fingerprint
    assert changed.encoder_fingerprints == base.encoder_fingerprints


def test_fewer_captions_are_spread_over_the_corpus() -> None:
    lines = [str(k) for k in range(100)]
    assert statistics._fewer(lines, 4) == ["0", "25", "50", "75"]
    assert statistics._fewer(lines, None) is lines
    assert statistics._fewer(lines, 100) is lines
