"""Which base an image may name without being asked about it."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from perfusion_core.cli.main import main
from perfusion_core.errors import BaseModelError
from perfusion_core.model import base as base_module
from perfusion_core.sampling.png import ImageRecipe, read_recipe, save_png
from perfusion_core.sampling.request import GenerationRequest
from perfusion_core.studio.app import Studio
from perfusion_core.studio.known_bases import known_base
from perfusion_core.studio.settings import Settings

INDEX = {"_class_name": "StableDiffusionPipeline", "unet": ["diffusers", "UNet2DConditionModel"]}


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "cache"))
    return Settings(home=tmp_path / "home", base=str(tmp_path / "bases" / "current"))


def put_base(folder: Path, weights: bool = True) -> None:
    folder.mkdir(parents=True)
    (folder / "model_index.json").write_text(json.dumps(INDEX))
    for part in ("unet", "vae", "text_encoder") if weights else ():
        (folder / part).mkdir()
        (folder / part / "model.safetensors").write_bytes(b"")


def put_image(path: Path, base: str) -> None:
    recipe = ImageRecipe(
        prompt="a dog",
        seed=1,
        steps=1,
        guidance=1.0,
        width=64,
        height=64,
        scheduler="ddim",
        base=base,
        base_fingerprint="00",
    )
    save_png(Image.new("RGB", (8, 8)), recipe, path)


def test_the_base_in_use_and_those_on_this_machine_are_known_by_name(settings: Settings) -> None:
    put_base(settings.models_folder / "painter")
    put_base(Path(os.environ["HF_HUB_CACHE"]) / "models--someone--else" / "snapshots" / "1")
    assert known_base(settings, "current", "x.png") == settings.base
    assert known_base(settings, "pocket", "x.png") == "pocket"
    assert known_base(settings, "painter", "x.png") == str(settings.models_folder / "painter")
    assert known_base(settings, "someone/else", "x.png") == "someone/else"


def test_a_model_that_is_here_in_part_is_not_known_since_the_rest_would_be_fetched(
    settings: Settings,
) -> None:
    put_base(Path(os.environ["HF_HUB_CACHE"]) / "models--someone--else" / "snapshots" / "1", weights=False)
    with pytest.raises(BaseModelError, match="someone/else"):
        known_base(settings, "someone/else", "x.png")


STRANGE = [
    "evil/model",
    "/etc/passwd",
    "../..",
    "~nosuchuser",
    "~",
    ".",
    "",
    "x" * 255,
    "http://a/b",
    "a\x1b[2Jb",
]


@pytest.mark.parametrize("name", [*STRANGE, "pipe"])
def test_whatever_else_an_image_names_is_named_and_never_touched(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    monkeypatch.setenv("PERFUSION_HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    if name == "pipe" and hasattr(os, "mkfifo"):
        name = str(tmp_path / "pipe.safetensors")
        os.mkfifo(name)

    def load(*_: Any, **__: Any) -> None:
        raise AssertionError("a base was loaded")

    monkeypatch.setattr(base_module, "load_base", load)
    put_image(tmp_path / "gift.png", name)
    assert main(["generate", "--from", "gift.png"]) == 2
    said = capsys.readouterr().err
    assert "gift.png" in said
    assert "--base" in said
    assert "\x1b" not in said


def test_a_pipe_given_as_a_base_is_refused_unopened(tmp_path: Path) -> None:
    for name in ("pipe.safetensors", "pipe"):
        os.mkfifo(tmp_path / name)
        with pytest.raises(BaseModelError, match=f"{name} is not a model file"):
            base_module.load_base(tmp_path / name)


@pytest.mark.parametrize("reference", ["~nosuchuser/model", "x" * 5000, "a\0b", "half \ud800", "y/" * 3000])
def test_a_base_that_cannot_be_a_path_is_named_in_few_words(reference: str) -> None:
    with pytest.raises(BaseModelError, match="no base model") as refused:
        base_module.load_base(reference)
    assert len(str(refused.value)) < 400
    assert str(refused.value).isprintable()


@pytest.mark.parametrize("name", ["evil/model", "/etc/passwd", "pocket"])
def test_the_app_restores_an_image_on_the_base_in_use_whatever_the_image_says(
    settings: Settings, tmp_path: Path, name: str
) -> None:
    put_image(tmp_path / "gift.png", name)
    recipe = read_recipe(tmp_path / "gift.png")
    assert recipe.base == name
    request = GenerationRequest(recipe.prompt, seed=recipe.seed, steps=recipe.steps)
    assert not hasattr(request, "base")  # what the form asks for says nothing of a base
    assert Studio(settings).submit_generate(request).request["base"] == settings.base
