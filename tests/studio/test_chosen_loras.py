"""LoRAs chosen in the app: on for pictures, off for teaching, kept for each base."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from perfusion_core.errors import PerfusionError
from perfusion_core.model.lora_files import ChosenLora
from perfusion_core.sampling.png import read_recipe
from perfusion_core.sampling.request import GenerationRequest
from perfusion_core.studio.app import Studio
from perfusion_core.studio.creating.live import render_live
from perfusion_core.studio.jobs.store import Job
from perfusion_core.studio.readiness import Readiness
from perfusion_core.studio.settings import PREFERENCES_FILE, Settings, preferred
from perfusion_core.studio.teaching.run import TeachRequest
from tests.lora_files import save_lora
from tests.quick_recipe import QUICK
from tests.tiny_families import tiny_family

PATIENCE = 120
REQUEST = GenerationRequest("a photo of a dog", seed=3, steps=2)


@pytest.fixture
def studio(settings: Settings, loaded: Any) -> Iterator[Studio]:
    studio = Studio(settings)
    studio.bases._current = (settings.base, loaded)  # with a scorer and a segmenter that are quick
    studio.start()
    yield studio
    studio.close()


def lora(studio: Studio, name: str = "style", weight: float = 1.0, **how: Any) -> ChosenLora:
    file = studio.settings.loras_folder / f"{name}.safetensors"
    return ChosenLora(save_lora(file, **how), weight)


def drawn(studio: Studio, request: GenerationRequest = REQUEST) -> Path:
    job = studio.wait(studio.submit_generate(request).id, PATIENCE)
    assert job.error is None
    return Path(job.result["paths"][0])


def taught_job(studio: Studio, photos: list[Path]) -> Job:
    request = TeachRequest(photos, "Biscuit", "dog", base=studio.settings.base, settings=QUICK)
    job = studio.wait(studio.submit_teach(request).id, PATIENCE)
    assert job.error is None
    return job


def in_recipe(image: Path) -> list[tuple[str, float]]:
    return [(one.name, one.weight) for one in read_recipe(image).loras]


def test_pictures_are_made_with_them_and_teaching_is_without(studio: Studio, photos: list[Path]) -> None:
    plain = drawn(studio)
    studio.use_loras([lora(studio, weight=0.5)])
    styled = drawn(studio)
    assert in_recipe(styled) == [("style.safetensors", 0.5)]

    taught = taught_job(studio, photos)
    assert all(in_recipe(path) == [] for path in Path(taught.result["folder"]).rglob("front/*.png"))
    assert studio.base is not None
    assert studio.base.loras == ()
    assert drawn(studio).read_bytes() == styled.read_bytes()

    with_concept = drawn(studio, replace(REQUEST, prompt="a photo of <biscuit>"))
    assert in_recipe(with_concept) == [("style.safetensors", 0.5)]
    studio.use_loras([])
    assert drawn(studio).read_bytes() == plain.read_bytes()
    acting = studio.wait(studio.submit_acting(with_concept).id, PATIENCE)  # with the picture's own
    assert (acting.state, acting.error) == ("done", None)
    (studio.settings.loras_folder / "style.safetensors").unlink()
    with pytest.raises(PerfusionError, match=r"style.safetensors.*not on this machine.*Put it into"):
        studio.submit_acting(with_concept)


def test_a_slider_is_followed_with_them(studio: Studio) -> None:
    studio.use_loras([lora(studio, "lcm-lora")])
    cache, base = studio.settings.cache_folder, studio.settings.base
    request = GenerationRequest("a dog", seed=1)
    made = render_live(studio.worker, request, base, cache, PATIENCE, loras=studio.settings.loras)
    assert isinstance(made, Path)
    recipe = read_recipe(made)
    assert (recipe.steps, recipe.scheduler) == (4, "lcm")
    assert in_recipe(made) == [("lcm-lora.safetensors", 1.0)]


def test_a_job_keeps_those_it_was_asked_with(studio: Studio) -> None:
    first = lora(studio)
    studio.use_loras([first])
    job = studio.submit_generate(REQUEST)
    studio.use_loras([])
    done = studio.wait(job.id, PATIENCE)
    assert in_recipe(Path(done.result["paths"][0])) == [("style.safetensors", 1.0)]
    del job.request["loras"]  # as earlier versions of the program asked
    old = studio.wait(studio.worker.submit("generate", "old", job.request).id, PATIENCE)
    assert in_recipe(Path(old.result["paths"][0])) == []


def test_they_are_kept_for_each_base_and_for_the_next_start(settings: Settings) -> None:
    studio, start = Studio(replace(settings, base="one")), replace(settings, base="one")
    style, ink = lora(studio, "style"), lora(studio, "ink", -0.5)
    studio.use_loras([ink, style])
    assert preferred(start).loras == (ink, style)
    studio.use_base("two")
    assert studio.settings.loras == ()
    studio.use_loras([style])
    studio.use_base("one")
    assert studio.settings.loras == (ink, style)
    studio.use_loras([])
    assert preferred(start).loras == ()
    assert preferred(replace(settings, base="two")).loras == (style,)


def test_what_was_kept_by_hand_leads_to_no_other_folder(settings: Settings) -> None:
    settings.home.mkdir(parents=True)
    kept = {
        "loras": {settings.base: {"../x.safetensors": 1, "/y.safetensors": 1, "z.safetensors": 9, "a.b": 2}}
    }
    (settings.home / PREFERENCES_FILE).write_text(json.dumps(kept))
    assert preferred(settings).loras == (ChosenLora(settings.loras_folder / "a.b", 2.0),)


def test_one_that_does_not_fit_is_named_where_pictures_are_made_and_stops_no_teaching(
    studio: Studio, photos: list[Path]
) -> None:
    studio.use_loras([lora(studio, "large", pipe=tiny_family("sdxl"))])
    readiness = Readiness(studio)
    readiness.begin()
    assert readiness._thread is not None
    readiness._thread.join(PATIENCE)
    assert "large.safetensors does not fit" in readiness.problem
    job = studio.wait(studio.submit_generate(REQUEST).id, PATIENCE)
    assert "large.safetensors does not fit" in (job.error or "")
    with studio.staging.segmenter() as found:
        assert found is not None
    taught_job(studio, photos)
    studio.use_loras([])
    readiness.begin()
    readiness._thread.join(PATIENCE)
    assert (readiness.problem, readiness.words) == ("", "Ready")


def test_a_weight_out_of_bounds_is_refused_and_the_others_stay(studio: Studio) -> None:
    good = lora(studio)
    studio.use_loras([good])
    with pytest.raises(PerfusionError, match="between -4 and 4"):
        studio.use_loras([replace(good, weight=5.0)])
    assert studio.settings.loras == (good,)


def test_those_of_an_image_are_used_where_they_are_here(studio: Studio) -> None:
    style = lora(studio, weight=0.5)
    studio.use_loras([style])
    recipe = read_recipe(drawn(studio))
    studio.use_loras([])
    assert studio.use_loras_of(recipe)
    assert studio.settings.loras == (style,)
    assert not studio.use_loras_of(recipe)  # they are already
    assert not studio.use_loras_of(recipe.model_copy(update={"base_fingerprint": "another"}))
    studio.use_loras([])
    style.file.unlink()
    assert not studio.use_loras_of(recipe)
    assert studio.settings.loras == ()
