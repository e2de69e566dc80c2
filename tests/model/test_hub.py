from __future__ import annotations

import socket
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from perfusion_core.errors import BaseModelError
from perfusion_core.model import hub
from perfusion_core.model.base import load_base
from perfusion_core.model.clip import load_scorer
from perfusion_core.model.segment import load_segmenter


@pytest.fixture
def offline(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No host's name is known, and the cache is empty."""

    def unknown(*_: Any, **__: Any) -> Any:
        raise socket.gaierror(-2, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))


def session(head: Any) -> Any:
    return lambda: SimpleNamespace(head=head)


@pytest.fixture
def online_by_choice(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever runs the tests may have said offline in the environment."""
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)


@pytest.mark.usefixtures("online_by_choice")
def test_a_hub_that_answers_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.utils.get_session", session(lambda *_, **__: None))
    assert hub.hub_answers()


@pytest.mark.usefixtures("online_by_choice")
def test_a_hub_that_hangs_is_given_up_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.utils.get_session", session(lambda *_, **__: time.sleep(3)))
    begun = time.perf_counter()
    assert not hub.hub_answers(0.1)
    assert time.perf_counter() - begun < 1.0


def test_offline_by_choice_is_not_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("huggingface_hub.utils.get_session", session(lambda *_, **__: None))
    assert not hub.hub_answers()


@pytest.mark.usefixtures("offline")
@pytest.mark.parametrize(
    ("load", "words"),
    [
        (lambda: load_scorer(source="somebody/clip"), "scores pictures"),
        (lambda: load_segmenter(source="somebody/mask"), "finds the subject"),
        (lambda: load_base("somebody/model", device="cpu"), "somebody/model is not on this machine"),
    ],
    ids=["scorer", "segmenter", "base"],
)
def test_without_a_network_a_missing_model_is_told_within_seconds(load: Any, words: str) -> None:
    begun = time.perf_counter()
    with pytest.raises(BaseModelError, match=rf"{words}.*does not answer.*Connect to the internet"):
        load()
    assert time.perf_counter() - begun < 2 * hub.PATIENCE


def test_a_model_in_the_cache_is_loaded_without_asking(
    tiny_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    commit = "0" * 40
    held = tmp_path / "models--somebody--model"
    (held / "snapshots").mkdir(parents=True)
    (held / "snapshots" / commit).symlink_to(tiny_folder, target_is_directory=True)
    (held / "refs").mkdir()
    (held / "refs" / "main").write_text(commit, "utf-8")
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr("perfusion_core.model.hub.hub_answers", pytest.fail)
    assert load_base("somebody/model", device="cpu").id == "somebody/model"
