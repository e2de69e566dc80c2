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


def test_a_file_that_holds_classes_is_refused_by_name(tmp_path: Path) -> None:
    torch.save({"scenes": [tmp_path]}, tmp_path / "shard-0000.pt")
    with pytest.raises(ValueError, match=r"shard-0000\.pt holds more than plain data"):
        checkpoint.load(tmp_path / "shard-0000.pt")


def test_a_checkpoint_that_is_needed_and_not_there_names_its_stage(tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match=r"unet\.pt: run `python -m tools\.pocket\.train_unet` first"):
        checkpoint.need(tmp_path, "unet", "train_unet")
