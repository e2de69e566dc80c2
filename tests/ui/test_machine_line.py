"""What the sidebar says of the base beside its state."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from perfusion_core.model.base import Base
from perfusion_core.studio.app import Studio
from perfusion_core.studio.readiness import Readiness
from perfusion_core.studio.settings import Settings
from perfusion_core.ui.sidebar import machine_line
from tests.tiny_families import tiny_family


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("sd-turbo", "it draws in 4 steps, no guidance."),
        ("sdxl_lightning_1step", "it draws in 1 step, no guidance."),
        ("tiny", ""),
    ],
)
def test_a_base_of_few_steps_says_how_it_draws(
    tmp_path: Path, tiny_pipe: Any, monkeypatch: pytest.MonkeyPatch, name: str, words: str
) -> None:
    base = Base(name, tiny_pipe)
    monkeypatch.setattr(Studio, "base", property(lambda _studio: base))
    studio = Studio(Settings(home=tmp_path))
    shown = machine_line(studio, Readiness(studio))
    assert (words in shown) if words else "few steps" not in shown


def test_sana_sprint_says_its_guidance(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    base = Base("sprint", tiny_family("sana-sprint"))
    monkeypatch.setattr(Studio, "base", property(lambda _studio: base))
    studio = Studio(Settings(home=tmp_path))
    assert "it draws in 2 steps, guidance 4.5." in machine_line(studio, Readiness(studio))
