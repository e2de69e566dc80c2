"""Fronts of one seed and of several, scored against the photos, the superclass and the photos among
themselves.
"""

from __future__ import annotations

import json
from pathlib import Path
from statistics import fmean
from typing import Any

import pytest
from PIL import Image

from perfusion_core.evaluation import FrontPoint, photo_agreement
from perfusion_core.sampling.png import read_recipe
from perfusion_core.sampling.request import GenerationRequest
from perfusion_core.studio.bases import Missing
from perfusion_core.studio.creating.create import make_images
from perfusion_core.studio.fronts.front import make_front
from perfusion_core.studio.fronts.scores import mean_points
from perfusion_core.studio.library.library import Library
from perfusion_core.studio.teaching.run import TeachRequest, begin_teaching, teach
from perfusion_core.studio.teaching.run_folder import RunFolder
from tests.quick_recipe import QUICK


def ask(prompt: str = "a photo of <biscuit>", **changes: Any) -> GenerationRequest:
    return GenerationRequest(prompt, **{"seed": 5, "steps": 2, **changes})


@pytest.fixture
def taught(library: Library, loaded: Any, photos: list[Path]) -> Library:
    request = TeachRequest(photos, "biscuit", "dog", settings=QUICK)
    teach(library, loaded, begin_teaching(library, request))
    return library


def test_a_scored_front_is_a_folder_with_images_strip_and_numbers(
    taught: Library, loaded: Any, tmp_path: Path
) -> None:
    made = make_front(taught, loaded, ask(), "biscuit", (1.0, 0.7, 0.4), tmp_path)
    facts = json.loads((made.folder / "front.json").read_text("utf-8"))
    assert [point["bias"] for point in facts["points"]] == [1.0, 0.7, 0.4]
    assert [(file["seed"], file["bias"]) for file in facts["files"]] == [(5, 1.0), (5, 0.7), (5, 0.4)]
    assert [(made.folder / file["file"]).is_file() for file in facts["files"]] == [True] * 3
    assert facts["scorer"] == made.scorer == "coarse pixels"
    assert facts["hypervolume_reference"] == {"image": 0.0, "text": 0.0}
    assert made.knee in made.points
    assert facts["hypervolume"] == pytest.approx(made.hypervolume)
    strip = Image.open(made.strip)
    assert strip.width > 3 * 128
    assert read_recipe(made.paths[1]).concepts[0].bias == 0.7


def test_a_front_of_several_seeds_has_a_row_for_each_and_the_mean_of_their_scores(
    taught: Library, loaded: Any, tmp_path: Path
) -> None:
    seen: list[tuple[int, int]] = []
    both = make_front(
        taught,
        loaded,
        ask(count=2),
        "biscuit",
        (1.0, 0.4),
        tmp_path,
        on_step=lambda done, total: seen.append((done, total)),
    )
    recipes = [read_recipe(path) for path in both.paths]
    assert [(r.seed, r.concepts[0].bias) for r in recipes] == [(5, 1.0), (5, 0.4), (6, 1.0), (6, 0.4)]
    assert both.seeds == [5, 6]
    rows = [make_front(taught, loaded, ask(seed=seed), "biscuit", (1.0, 0.4), tmp_path) for seed in (5, 6)]
    assert both.shots == [*rows[0].points, *rows[1].points]
    for k, point in enumerate(both.points):
        assert point.image == pytest.approx(fmean(row.points[k].image for row in rows))
        assert point.text == pytest.approx(fmean(row.points[k].text for row in rows))
    whole = 2 * 2 * 3  # steps, seeds, two biases and the base's own image
    assert seen[-1] == (whole, whole)
    assert seen == sorted(seen)


def test_the_base_with_the_superclass_and_the_photos_themselves_are_points_beside_the_front(
    taught: Library, loaded: Any, tmp_path: Path
) -> None:
    made = make_front(taught, loaded, ask(count=2), "biscuit", (1.0, 0.4), tmp_path)
    superclass, photos = made.references
    assert (superclass.kind, photos.kind) == ("superclass", "photos")
    drawn = make_images(taught, loaded, ask("a photo of dog", count=2), tmp_path / "plain").paths
    assert [path.read_bytes() for path in superclass.paths] == [path.read_bytes() for path in drawn]
    squares, _ = RunFolder(taught.get("biscuit").folder).squares()
    assert photos.image == pytest.approx(photo_agreement(loaded.scorer, squares))
    facts = json.loads((made.folder / "front.json").read_text("utf-8"))
    assert facts["references"][0]["files"] == ["superclass-seed5.png", "superclass-seed6.png"]


def test_a_front_without_photos_is_drawn_and_says_why_it_is_not_scored(
    library: Library, loaded: Any, make_concept: Any, tmp_path: Path
) -> None:
    library.add(make_concept(loaded.base))
    made = make_front(library, loaded, ask(), "biscuit", (1.0, 0.4), tmp_path)
    assert made.points == made.shots == made.references == []
    assert (made.knee, made.hypervolume, made.scorer) == (None, None, None)
    assert any("without its photos" in warning for warning in made.warnings)


def test_a_front_without_a_scorer_is_drawn_and_says_why_it_is_not_scored(
    taught: Library, loaded: Any, tmp_path: Path
) -> None:
    loaded.__dict__["scorer"] = Missing("There is no CLIP here.")
    made = make_front(taught, loaded, ask(), "biscuit", (1.0, 0.4), tmp_path)
    assert (made.points, len(made.paths)) == ([], 2)
    assert "The front is not scored. There is no CLIP here." in made.warnings


def test_a_front_that_was_stopped_keeps_what_was_finished(
    taught: Library, loaded: Any, tmp_path: Path
) -> None:
    seen: list[int] = []
    made = make_front(
        taught,
        loaded,
        ask(count=2),
        "biscuit",
        (1.0, 0.4),
        tmp_path,
        on_step=lambda done, _: seen.append(done),
        should_stop=lambda: len(seen) > 6,
    )
    assert made.stopped
    assert (len(made.paths), len(made.points)) == (3, 2)
    assert made.points == made.shots[:2]  # the first seed alone: the second has no other end


def test_means_are_taken_over_whole_rows_only_unless_there_is_none() -> None:
    shots = [FrontPoint(0.9, 0.2, 0.6), FrontPoint(0.5, 0.4, 0.4), FrontPoint(0.9, 0.9, 0.9)]
    assert mean_points(shots, (0.9, 0.5)) == shots[:2]
    assert mean_points(shots[:1], (0.9, 0.5)) == shots[:1]
    assert mean_points([], (0.9, 0.5)) == []
