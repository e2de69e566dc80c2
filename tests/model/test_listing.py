"""Base models found on this machine, among names and files that nobody should have there."""

from __future__ import annotations

import errno
import json
import os
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from perfusion_core.model.listing import BaseListing, available_bases

NO_TEXT = os.fsdecode(b"caf\xe9")  # a name in Latin-1, of which Python makes half a character
DENOISER = "model.diffusion_model."


@pytest.fixture(autouse=True)
def _only_the_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("PERFUSION_POCKET", str(tmp_path / "none"))


@pytest.fixture
def models(tmp_path: Path) -> Path:
    folder = tmp_path / "models"
    folder.mkdir()
    return folder


def index(folder: Path, content: Any) -> None:
    folder.mkdir()
    (folder / "model_index.json").write_text(content if isinstance(content, str) else json.dumps(content))


def sound(found: list[BaseListing]) -> dict[str, BaseListing]:
    """By title; every text in it can be sent to a page and printed."""
    for each in found:
        each.id.encode()
        assert (each.title + each.reason).isprintable()
    return {each.title: each for each in found}


def named_in_no_encoding(place: Path) -> None:
    try:
        place.touch()
    except OSError:
        pytest.skip("this file system takes only names that are text")
    place.unlink()


def test_names_that_are_no_text_are_listed_with_what_to_do(models: Path, tiny_folder: Path) -> None:
    named_in_no_encoding(models / NO_TEXT)
    save_file({"a": torch.ones(1)}, models / "plain.safetensors")
    (models / "plain.safetensors").rename(models / f"{NO_TEXT}.safetensors")
    shutil.copytree(tiny_folder, models / NO_TEXT)
    (models / f"{NO_TEXT}.txt").touch()
    shutil.copytree(tiny_folder, models / "two\nlines \x1b[2J")
    found = sound(available_bases(models))
    assert set(found) == {r"caf\udce9.safetensors", r"caf\udce9", r"two\nlines \x1b[2J"}
    assert found[r"two\nlines \x1b[2J"].supported
    for name in (r"caf\udce9.safetensors", r"caf\udce9"):
        assert not found[name].supported
        assert found[name].reason.startswith(f"{name} has a name that is no text in UTF-8")
        assert "Rename it" in found[name].reason


def test_a_name_that_is_no_text_in_the_hubs_cache_is_passed_over(tmp_path: Path, tiny_folder: Path) -> None:
    (tmp_path / "cache").mkdir()
    named_in_no_encoding(tmp_path / "cache" / NO_TEXT)
    for name in (f"models--{NO_TEXT}--model", "models--somebody--model"):
        shutil.copytree(tiny_folder, tmp_path / "cache" / name / "snapshots" / "abc")
    assert list(sound(available_bases())) == ["somebody/model"]


@pytest.mark.parametrize("name", ["x" * 300, "y/" * 3000, "nul\0", "half \ud800", "file", "nowhere"])
def test_a_folder_of_models_that_cannot_be_one_holds_none(
    tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    assert available_bases(str(tmp_path / name)) == []
    if "\0" not in name and name.isascii():
        monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / name))
        assert available_bases() == []


def test_what_may_not_be_read_is_listed_with_the_reason_and_hides_nothing_else(
    models: Path, tiny_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("closed", "other"):
        shutil.copytree(tiny_folder, models / name)
    monkeypatch.setattr(Path, "is_file", refusing(Path.is_file, "closed"))
    found = sound(available_bases(models))
    assert set(found) == {"closed", "other"}
    assert found["other"].supported
    assert "closed cannot be read (Permission denied)" in found["closed"].reason


def test_a_folder_of_models_that_may_not_be_read_says_so(
    models: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Path, "iterdir", refusing(Path.iterdir, "models"))
    (only,) = available_bases(models)
    assert not only.supported
    assert f"{models} cannot be read (Permission denied)" in only.reason


def refusing(call: Any, name: str) -> Any:
    """As the system where what lies in a folder called `name` may not be seen."""

    def refused(path: Path, *rest: Any, **options: Any) -> Any:
        if name in path.parts:
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))
        return call(path, *rest, **options)

    return refused


@pytest.mark.parametrize(
    "content",
    [
        {"_class_name": []},
        {"_class_name": {}},
        {"_class_name": 3},
        {"_class_name": "\x1b[2J\ud800"},
        {"_class_name": "StableDiffusionPipeline", "text_encoder": [[], []], "unet": [{}, {}]},
        {"_class_name": "StableDiffusionPipeline", "text_encoder": [3, None]},
        "[" * 100_000,
        "1" * 10_000,
        "",
        "null",
    ],
    ids=lambda content: str(content)[:40].encode("ascii", "backslashreplace").decode(),
)
def test_whatever_an_index_says_hides_only_its_own_model(
    models: Path, tiny_folder: Path, content: Any
) -> None:
    index(models / "hostile", content)
    shutil.copytree(tiny_folder, models / "other")
    found = sound(available_bases(models))
    assert set(found) == {"hostile", "other"}
    assert found["other"].supported
    assert not found["hostile"].supported
    assert len(found["hostile"].reason) < 500


@pytest.mark.parametrize(
    "shapes",
    [
        {f"{DENOISER}input_blocks.0.0.weight": (3,)},
        {f"{DENOISER}input_blocks.0.0.weight": ()},
        {f"{DENOISER}input_blocks.4.1.transformer_blocks.0.attn2.to_k.weight": ()},
        {f"{DENOISER}input_blocks.1.1.transformer_blocks.0.attn2.to_k.weight": (768,)},
        {"\x1b[2J\n": (1,)},
        {},
    ],
)
def test_whatever_shapes_a_checkpoint_has_it_hides_only_itself(
    models: Path, tiny_folder: Path, shapes: dict[str, tuple[int, ...]]
) -> None:
    save_file({name: torch.ones(shape) for name, shape in shapes.items()}, models / "hostile.safetensors")
    shutil.copytree(tiny_folder, models / "other")
    found = sound(available_bases(models))
    assert not found["hostile"].supported
    assert found["other"].supported
