"""Checkpoints are whole or absent."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from tools.pocket import checkpoint


def test_saved_state_comes_back(tmp_path: Path) -> None:
    checkpoint.save(tmp_path / "a.pt", {"step": 3, "weight": torch.ones(2)})
    state = checkpoint.load(tmp_path / "a.pt")
    assert state is not None
    assert state["step"] == 3
    assert torch.equal(state["weight"], torch.ones(2))


def test_missing_checkpoint_is_none(tmp_path: Path) -> None:
    assert checkpoint.load(tmp_path / "none.pt") is None


def test_a_save_cut_off_leaves_the_old_checkpoint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    checkpoint.save(tmp_path / "a.pt", {"step": 1})

    def broken(*_: object) -> None:
        raise OSError("disk full")

    monkeypatch.setattr(torch, "save", broken)
    with pytest.raises(OSError):
        checkpoint.save(tmp_path / "a.pt", {"step": 2})
    assert checkpoint.load(tmp_path / "a.pt") == {"step": 1}
