"""How far a job has come, as Create and Explore show it."""

from __future__ import annotations

from pathlib import Path

from perfusion_core.studio.app import Studio
from perfusion_core.studio.settings import Settings
from perfusion_core.ui.job_watch import progress


def test_what_comes_before_the_first_step_is_shown_too(tmp_path: Path) -> None:
    studio = Studio(Settings(home=tmp_path))
    job = studio.store.new("generate", "a <biscuit>", {}).changed(state="running")
    assert "Getting the model ready" in progress(studio, job)
    studio.store.append(job.id, {"kind": "stage", "text": "Reading captions 640 of 5000", "part": 0.128})
    shown = progress(studio, job)
    assert "Reading captions 640 of 5000" in shown
    assert 'aria-valuenow="13"' in shown
    studio.store.append(job.id, {"kind": "progress", "done": 5, "total": 20})
    assert "Step 5 of 20" in progress(studio, job)
