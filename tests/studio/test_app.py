from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from perfusion_core.errors import PerfusionError
from perfusion_core.sampling.png import read_recipe
from perfusion_core.sampling.repeat import request_from
from perfusion_core.sampling.request import GenerationRequest
from perfusion_core.studio.app import Studio
from perfusion_core.studio.settings import Settings, settings_from
from perfusion_core.studio.teaching.run import TeachRequest
from tests.quick_recipe import QUICK

PATIENCE = 120  # seconds a job may take on a slow machine


@pytest.fixture
def studio(settings: Settings, loaded: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[Studio]:
    studio = Studio(settings)
    monkeypatch.setattr(studio.bases, "get", lambda reference=None, loras=(): loaded)
    studio.start()
    yield studio
    studio.close()


def ask(prompt: str = "a photo of <biscuit>", **changes: Any) -> GenerationRequest:
    return GenerationRequest(prompt, **{"seed": 3, "steps": 2, **changes})


def test_a_taught_concept_can_be_used_at_once_and_everything_is_told_in_events(
    studio: Studio, photos: list[Path]
) -> None:
    job = studio.submit_teach(TeachRequest(photos, "Biscuit", "dog", settings=QUICK))
    done = studio.wait(job.id, PATIENCE)
    assert (done.state, done.error, done.title) == ("done", None, "Teach <Biscuit>")
    assert done.result["concept"] == "biscuit"
    kinds = [event["kind"] for event in studio.events(job.id)]
    assert kinds.count("step") == 4
    assert {"stage", "start", "score", "preview", "checkpoint", "done"} <= set(kinds)
    assert all("loss" in event for event in studio.events(job.id, kind="step"))
    previews = [path for event in studio.events(job.id, kind="preview") for path in event["previews"]]
    assert all(Path(path).is_file() for path in previews)

    drawn = studio.wait(studio.submit_generate(ask(count=2)).id, PATIENCE)
    assert drawn.state == "done"
    assert [read_recipe(Path(path)).seed for path in drawn.result["paths"]] == [3, 4]
    assert studio.events(drawn.id, kind="progress")[-1]["done"] == 4

    front = studio.wait(studio.submit_front(ask(), "biscuit", (0.9, 0.5)).id, PATIENCE)
    assert len(front.result["points"]) == 2
    assert Path(front.result["strip"]).is_file()

    again = studio.wait(
        studio.submit_generate(request_from(read_recipe(Path(drawn.result["paths"][0])))).id, PATIENCE
    )
    first, second = Path(drawn.result["paths"][0]), Path(again.result["paths"][0])
    assert first.read_bytes() == second.read_bytes()
    assert [job.kind for job in studio.jobs()] == ["teach", "generate", "front", "generate"]


def test_a_grid_of_two_concepts(studio: Studio, loaded: Any, make_concept: Any) -> None:
    studio.library.add(make_concept(loaded.base))
    studio.library.add(make_concept(loaded.base, "mug", "cup", seed=1))
    request = ask("<biscuit> and <mug>")
    job = studio.submit_grid(request, ("biscuit", "mug"), ((0.9, 0.5), (0.8, 0.4)))
    done = studio.wait(job.id, PATIENCE)
    assert (done.state, done.error) == ("done", None)
    assert len(done.result["paths"]) == 4
    assert Path(done.result["table"]).is_file()


def test_a_teaching_that_the_program_left_goes_on_in_the_next_one(
    settings: Settings, loaded: Any, photos: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    first = Studio(settings)
    monkeypatch.setattr(first.bases, "get", lambda reference=None, loras=(): loaded)
    first.start()
    job = first.submit_teach(TeachRequest(photos, "biscuit", "dog", settings={**QUICK, "steps": 400}))
    while not first.events(job.id, kind="step"):
        assert first.job(job.id).state in ("queued", "running"), first.job(job.id).error
        first.wait(job.id, 0.02)
    first.close()
    assert first.job(job.id).state == "interrupted"

    second = Studio(settings)
    monkeypatch.setattr(second.bases, "get", lambda reference=None, loras=(): loaded)
    assert second.job(job.id).resumable
    second.start()
    try:
        before = max(event["step"] for event in second.events(job.id, kind="step"))
        second.resume(job.id)
        while max(event["step"] for event in second.events(job.id, kind="step")) == before:
            assert second.job(job.id).state in ("queued", "running"), second.job(job.id).error
            second.wait(job.id, 0.02)
        second.stop(job.id)
        assert second.wait(job.id, PATIENCE).state == "stopped"
        steps = [event["step"] for event in second.events(job.id, kind="step")]
        assert steps == sorted(set(steps))  # none lost, none twice
    finally:
        second.close()


def test_a_failed_job_leaves_the_next_image_as_it_was(studio: Studio, loaded: Any, make_concept: Any) -> None:
    studio.library.add(make_concept(loaded.base))
    before = studio.wait(studio.submit_generate(ask()).id, PATIENCE)
    failed = studio.wait(studio.submit_generate(ask("a <teapot>")).id, PATIENCE)
    assert failed.state == "failed"
    assert "<teapot>" in (failed.error or "")
    after = studio.wait(studio.submit_generate(ask()).id, PATIENCE)
    images = [Path(job.result["paths"][0]).read_bytes() for job in (before, after)]
    assert images[0] == images[1]


def test_a_wrong_request_is_refused_before_it_is_queued(studio: Studio, photos: list[Path]) -> None:
    with pytest.raises(PerfusionError):
        studio.submit_generate(ask(count=0))
    with pytest.raises(PerfusionError):
        studio.submit_teach(TeachRequest([], "biscuit", "dog"))
    with pytest.raises(PerfusionError, match="no recipe"):
        studio.submit_acting(photos[0])
    assert studio.jobs() == []


def test_a_second_studio_on_one_folder_says_why_it_cannot_start(studio: Studio, settings: Settings) -> None:
    program = (
        "import sys; from pathlib import Path; from perfusion_core.studio.app import Studio\n"
        "from perfusion_core.studio.settings import Settings\n"
        "from perfusion_core.errors import PerfusionError\n"
        "try: Studio(Settings(home=Path(sys.argv[1]))).start()\n"
        "except PerfusionError as error: print(error)\n"
    )
    answer = subprocess.run(
        [sys.executable, "-c", program, str(settings.home)],
        capture_output=True,
        text=True,
        check=True,
        cwd=Path(__file__).parents[2],
    )
    assert "Another Perfusion Studio is already working in" in answer.stdout


def test_a_studio_is_made_and_its_lists_are_read_without_torch(tmp_path: Path) -> None:
    program = (
        "import json, sys; from pathlib import Path; from perfusion_core.studio.app import Studio\n"
        "from perfusion_core.studio.settings import Settings\n"
        "studio = Studio(Settings(home=Path(sys.argv[1])))\n"
        "print(json.dumps([len(studio.jobs()), len(studio.library.entries()), 'torch' in sys.modules]))\n"
    )
    answer = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path)],
        capture_output=True,
        text=True,
        check=True,
        cwd=Path(__file__).parents[2],
    )
    assert json.loads(answer.stdout) == [0, 0, False]


def test_settings_come_from_the_environment(tmp_path: Path) -> None:
    given = settings_from({"PERFUSION_HOME": str(tmp_path), "PERFUSION_BASE": "some/model"})
    assert (given.home, given.base) == (tmp_path, "some/model")
    assert given.models_folder == tmp_path / "models"
    plain = settings_from({})
    assert plain.base == "pocket"
    assert plain.home.name == "perfusion-studio"
    assert replace(plain, home=tmp_path).jobs_folder == tmp_path / "jobs"
    (tmp_path / "file").write_text("")
    with pytest.raises(PerfusionError, match="PERFUSION_HOME"):
        settings_from({"PERFUSION_HOME": str(tmp_path / "file")})


def test_a_teaching_whose_job_cannot_be_kept_leaves_no_photos_behind(
    studio: Studio, photos: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: Any, **__: Any) -> Any:
        raise PerfusionError("The disk is full. Free some space.")

    monkeypatch.setattr(studio.store, "new", full)
    with pytest.raises(PerfusionError, match="full"):
        studio.submit_teach(TeachRequest(photos, "rex", "dog"))
    assert studio.library.unfinished() == []


def test_an_output_folder_that_cannot_be_read_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from perfusion_core.studio.creating.output_folder import next_number

    def refuse(_path: Path) -> Any:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "iterdir", refuse)
    with pytest.raises(PerfusionError, match=r"cannot be read \(Permission denied\)"):
        next_number(tmp_path)
