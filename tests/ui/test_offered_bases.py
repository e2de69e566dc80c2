"""The bases offered on the page: what the page is sent can be sent, whatever lies in the folder of models."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import orjson  # what Gradio encodes pages and answers with
import pytest

from perfusion_core.errors import PerfusionError
from perfusion_core.studio.app import Studio
from perfusion_core.studio.readiness import Readiness
from perfusion_core.studio.settings import Settings
from perfusion_core.ui.base_choice import choices, unsupported, use


@pytest.fixture
def studio(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Studio:
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "cache"))
    return Studio(Settings(tmp_path / "home", models_dir=tmp_path / "models"))


def test_file_names_that_are_no_text_do_not_keep_the_page_from_opening(studio: Studio) -> None:
    studio.settings.models_folder.mkdir()
    try:
        (studio.settings.models_folder / os.fsdecode(b"caf\xe9.safetensors")).touch()
    except OSError:
        pytest.skip("this file system takes only names that are text")
    offered, others = choices(studio), unsupported(studio)
    orjson.dumps([offered, others])
    assert "pocket" in dict(offered).values()
    assert r"caf\udce9" in others


def test_a_folder_of_models_that_cannot_be_one_does_not_keep_the_page_from_opening(studio: Studio) -> None:
    studio.change(models_dir=Path("/" + "x" * 300))
    orjson.dumps([choices(studio), unsupported(studio)])


@pytest.mark.parametrize("reference", ["caf\udce9", "\ud800/model"])
def test_a_base_whose_name_is_no_text_is_refused_and_the_one_in_use_stays(
    studio: Studio, reference: str
) -> None:
    with pytest.raises(PerfusionError, match="The base model's name"):
        use(studio, Readiness(studio), reference)
    assert studio.settings == replace(studio.settings, base="pocket")
    orjson.dumps(choices(studio))
