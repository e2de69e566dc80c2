"""Tables of figures, and the prompts they are measured on."""

from __future__ import annotations

import json
from pathlib import Path

from tools.pocket.evaluate import unseen_prompts
from tools.pocket.figures import summary, table, write
from tools.pocket.verdicts import Verdicts

SETTINGS = {"prompts": 2, "steps": 20, "guidance": 4.0, "threads": 2, "weights": "abc"}


def verdicts() -> Verdicts:
    """One of two objects right, nothing else asked."""
    made = Verdicts()
    made.add("object", "dog", True)
    made.add("object", "cat", False)
    return made


def test_first_prompts_do_not_depend_on_how_many_are_asked() -> None:
    few, many = unseen_prompts(5), unseen_prompts(9)
    assert many[1][:5] == few[1]
    assert many[0][:5] == few[0]


def test_table_shows_share_ceiling_and_bar_and_a_dash_where_nothing_was_asked() -> None:
    text = table(summary(verdicts(), verdicts(), {"autoencoder_db": 28.04}, SETTINGS))
    assert "| the one object is of the right class | 2 | 50% | 50% | ≥ 90% |" in text
    assert "| 0 | – | – | ≥ 75% |" in text
    assert "| autoencoder, PSNR on unseen scenes | 28.0 dB | ≥ 28 dB |" in text
    assert "CLIP picks" not in text


def test_written_figures_are_json_and_name_the_poorest(tmp_path: Path) -> None:
    write(summary(verdicts(), verdicts(), {}, SETTINGS), tmp_path)
    kept = json.loads((tmp_path / "figures.json").read_text())
    assert kept["questions"]["object"]["poorest"] == {"cat": "0/1"}
    assert kept["questions"]["style"]["share"] is None
    assert "- object: cat 0/1" in (tmp_path / "table.md").read_text()
