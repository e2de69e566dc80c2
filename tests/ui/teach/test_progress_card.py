"""The card of a teaching before its first step."""

from __future__ import annotations

from pathlib import Path

from perfusion_core.studio.app import Studio
from perfusion_core.studio.settings import Settings
from perfusion_core.ui.served import Served
from perfusion_core.ui.teach.progress_card import latest_card


def test_the_bar_shows_how_much_of_the_captions_is_read(tmp_path: Path) -> None:
    studio = Studio(Settings(home=tmp_path))
    job = studio.store.new("teach", "Teach <rex>", {"name": "<rex>", "folder": "/nowhere"})
    studio.store.save(job.changed(state="running"))
    studio.store.append(job.id, {"kind": "stage", "text": "Reading captions 640 of 5000", "part": 0.128})
    html = latest_card(studio, Served(tmp_path / "served")).html
    assert "Reading captions 640 of 5000" in html
    assert 'aria-valuenow="13"' in html
