"""Where a base's statistics are computed first, the job tells how far that is, and can be stopped."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from perfusion_core.model import statistics
from perfusion_core.sampling.request import GenerationRequest
from perfusion_core.studio.app import Studio
from perfusion_core.studio.bases import LoadedBase
from perfusion_core.studio.creating.live import Busy, render_live
from perfusion_core.studio.jobs import handlers
from perfusion_core.studio.jobs.store import Job
from perfusion_core.studio.teaching.run import TeachRequest
from tests.predictable_models import MiddleSegmenter, PixelScorer
from tests.quick_recipe import QUICK

PATIENCE = 120  # seconds a job may take on a slow machine
READING = [f"Reading captions {done} of 200" for done in (0, 64, 128, 192, 200)]


@pytest.fixture
def studio(
    settings: Any, tiny_base: Any, make_concept: Any, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Studio]:
    """On a base without statistics, whose corpus has 200 captions."""
    monkeypatch.setattr(statistics, "read_captions", lambda: [f"a photo of a dog {n}" for n in range(200)])
    monkeypatch.setattr(handlers, "SHORTEST_PAUSE", 0.0)
    loaded = LoadedBase(tiny_base, settings)
    loaded.__dict__ |= {"scorer": PixelScorer(), "segmenter": MiddleSegmenter()}
    studio = Studio(settings)
    monkeypatch.setattr(studio.bases, "get", lambda reference=None, loras=(): loaded)
    studio.library.add(make_concept(tiny_base, "biscuit"))
    studio.start()
    yield studio
    studio.close()


def submit(studio: Studio, kind: str, photos: list[Path]) -> Job:
    if kind == "teach":
        return studio.submit_teach(TeachRequest(photos, "rex", "dog", settings=QUICK))
    request = GenerationRequest("a photo of a <biscuit>", steps=1, width=64, height=64)
    if kind == "front":
        return studio.submit_front(request, "biscuit", [0.6])
    return studio.submit_generate(request)


def stages(studio: Studio, job: Job) -> list[str]:
    return [event["text"] for event in studio.events(job.id, kind="stage")]


@pytest.mark.parametrize("kind", ["teach", "generate", "front"])
def test_a_job_tells_how_many_captions_are_read_once(studio: Studio, photos: list[Path], kind: str) -> None:
    job = studio.wait(submit(studio, kind, photos).id, PATIENCE)
    assert job.state == "done", job.error
    said = stages(studio, job)
    start = said.index(READING[0])
    assert said[start : start + len(READING)] == READING
    if kind == "teach":
        assert said[start + len(READING)] == "Teaching"
    again = studio.wait(submit(studio, "generate", photos).id, PATIENCE)
    assert again.state == "done"
    assert not stages(studio, again)


def test_a_prompt_without_concepts_waits_for_no_captions(studio: Studio) -> None:
    request = GenerationRequest("a photo of a dog", steps=1, width=64, height=64)
    job = studio.wait(studio.submit_generate(request).id, PATIENCE)
    assert job.state == "done"
    assert not stages(studio, job)


@pytest.fixture
def reading(monkeypatch: pytest.MonkeyPatch) -> Callable[[], Any]:
    """Holds the reading of captions at its first lines: `reached` is set then, and `go` lets it go on."""
    reached, go = threading.Event(), threading.Event()
    rows = statistics.PromptEncoder.rows

    def held(self: Any, texts: Any) -> Any:
        reached.set()
        assert go.wait(PATIENCE)
        return rows(self, texts)

    monkeypatch.setattr(statistics.PromptEncoder, "rows", held)
    return lambda: (reached, go)


@pytest.mark.parametrize("kind", ["teach", "generate"])
def test_a_job_can_be_stopped_while_captions_are_read(
    studio: Studio, photos: list[Path], kind: str, reading: Callable[[], Any]
) -> None:
    reached, go = reading()
    job = submit(studio, kind, photos)
    assert reached.wait(PATIENCE)
    studio.stop(job.id)
    go.set()
    job = studio.wait(job.id, PATIENCE)
    assert job.state == "stopped"
    assert stages(studio, job)[-1] == READING[0]
    if kind == "teach":
        assert Path(job.result["folder"]).is_dir()
        job = studio.wait(studio.resume(job.id).id, PATIENCE)
        assert job.state == "done", job.error


def test_an_image_for_a_slider_that_is_given_up_lets_captions_be_read_to_their_end(
    studio: Studio, reading: Callable[[], Any]
) -> None:
    reached, go = reading()
    request = GenerationRequest("a photo of a <biscuit>", steps=1, width=64, height=64)
    base = studio.settings.base
    assert isinstance(render_live(studio.worker, request, base, studio.settings.cache_folder, 2.0), Busy)
    assert reached.is_set()
    go.set()
    made = render_live(studio.worker, request, base, studio.settings.cache_folder, PATIENCE)
    assert isinstance(made, Path)
    assert "covariance" in vars(studio.bases.get())
