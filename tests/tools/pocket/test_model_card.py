"""The model card's template."""

from __future__ import annotations

from pathlib import Path

import torch
from safetensors.torch import save_file

from tools.pocket.figures import summary
from tools.pocket.model_card import card, weights
from tools.pocket.things import held_out, kinds
from tools.pocket.verdicts import Verdicts

SETTINGS = {"prompts": 2, "steps": 20, "guidance": 4.5, "threads": 2, "weights": "abc"}


def test_card_fills_every_gap_and_lists_what_was_kept_out(tmp_path: Path) -> None:
    (tmp_path / "unet").mkdir()
    save_file({"a": torch.zeros(10, 100), "b": torch.zeros(5)}, tmp_path / "unet" / "model.safetensors")
    text = card(
        summary(Verdicts(), Verdicts(), {}, SETTINGS),
        tmp_path,
        "Trained a while.",
        "Ears are soft.",
        "| a | table |",
    )
    assert "$" not in text
    assert "guidance_scale=4.5" in text
    assert "Trained a while." in text
    assert "Ears are soft." in text
    assert "trained to be taught" in text
    assert "| a | table |" in text
    for licence in ("MIT", "Apache-2.0", "CC-BY 4.0"):
        assert licence in text
    assert f"{len(kinds())} kinds" in text
    for thing in held_out().values():
        assert f"- {thing.name} ({thing.superclass})" in text


def test_weights_are_counted_from_the_files_headers(tmp_path: Path) -> None:
    save_file({"a": torch.zeros(10, 100), "b": torch.zeros(5)}, tmp_path / "model.safetensors")
    assert weights(tmp_path)[0] == 1005
