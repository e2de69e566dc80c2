from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from perfusion_core.errors import PerfusionError, PromptError
from perfusion_core.sampling.png import read_recipe
from perfusion_core.sampling.request import GenerationRequest
from perfusion_core.studio.bases import Missing
from perfusion_core.studio.creating.create import concepts_for, make_grid, make_images, repeat_image
from perfusion_core.studio.fronts.evaluate import evaluate_concept
from perfusion_core.studio.library.library import Library
from perfusion_core.studio.teaching.run import TeachRequest, begin_teaching, teach
from tests.quick_recipe import QUICK


def ask(prompt: str = "a photo of <biscuit>", **changes: Any) -> GenerationRequest:
    return GenerationRequest(prompt, **{"seed": 5, "steps": 2, **changes})


@pytest.fixture
def filled(library: Library, loaded: Any, make_concept: Any) -> Library:
    library.add(make_concept(loaded.base))
    library.add(make_concept(loaded.base, "mug", "cup", seed=1))
    return library


@pytest.fixture
def taught(library: Library, loaded: Any, photos: list[Path]) -> Library:
    request = TeachRequest(photos, "biscuit", "dog", settings=QUICK)
    teach(library, loaded, begin_teaching(library, request))
    return library


def test_images_are_kept_with_their_recipes_and_never_replaced(
    filled: Library, loaded: Any, tmp_path: Path
) -> None:
    first = make_images(filled, loaded, ask(count=2), tmp_path / "out")
    again = make_images(filled, loaded, ask(), tmp_path / "out")
    names = [path.name for path in first.paths + again.paths]
    assert names == [f"0000{k}-seed{s}-a-photo-of-biscuit.png" for k, s in ((1, 5), (2, 6), (3, 5))]
    assert [read_recipe(path).seed for path in first.paths] == [5, 6]
    assert first.paths[0].read_bytes() == again.paths[0].read_bytes()


def test_an_unknown_concept_is_told_with_those_there_are(
    filled: Library, loaded: Any, tmp_path: Path
) -> None:
    with pytest.raises(PromptError, match=r"<teapot>.*<biscuit>|<teapot>.*<mug>"):
        make_images(filled, loaded, ask("a <teapot>"), tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_an_image_is_repeated_from_its_file_bit_for_bit(filled: Library, loaded: Any, tmp_path: Path) -> None:
    original = make_images(filled, loaded, ask("<biscuit:0.6> and <mug>"), tmp_path).paths[0]
    copy = repeat_image(filled, loaded, original, tmp_path).paths[0]
    assert copy.read_bytes() == original.read_bytes()
    assert copy != original


def test_a_repeat_that_cannot_be_exact_is_refused_or_made_anyway(
    filled: Library, loaded: Any, make_concept: Any, tmp_path: Path
) -> None:
    original = make_images(filled, loaded, ask(), tmp_path).paths[0]
    filled.add(make_concept(loaded.base, seed=8), overwrite=True)
    with pytest.raises(PerfusionError, match=r"<biscuit> is another concept.*--anyway"):
        repeat_image(filled, loaded, original, tmp_path)
    made = repeat_image(filled, loaded, original, tmp_path, anyway=True)
    assert any("another concept" in warning for warning in made.warnings)
    assert made.paths[0].read_bytes() != original.read_bytes()
    filled.delete("biscuit")
    with pytest.raises(PerfusionError, match="no concept <biscuit>"):
        repeat_image(filled, loaded, original, tmp_path)


def test_a_grid_is_a_table_with_the_first_concept_by_row(
    filled: Library, loaded: Any, tmp_path: Path
) -> None:
    made = make_grid(
        filled, loaded, ask("<biscuit> and <mug>"), ("biscuit", "mug"), ((0.9, 0.5), (0.8, 0.4)), tmp_path
    )
    biases = [[used.bias for used in read_recipe(path).concepts] for path in made.paths]
    assert biases == [[0.9, 0.8], [0.9, 0.4], [0.5, 0.8], [0.5, 0.4]]
    assert made.table.is_file()


def test_stopping_keeps_what_was_finished(filled: Library, loaded: Any, tmp_path: Path) -> None:
    seen: list[int] = []
    made = make_images(
        filled,
        loaded,
        ask(count=3),
        tmp_path,
        on_step=lambda done, _: seen.append(done),
        should_stop=lambda: len(seen) > 2,
    )
    assert made.stopped
    assert len(made.paths) == 1


def test_a_folder_that_cannot_be_made_is_named(filled: Library, loaded: Any, tmp_path: Path) -> None:
    (tmp_path / "out").write_text("a file")
    with pytest.raises(PerfusionError, match="--out"):
        make_images(filled, loaded, ask(), tmp_path / "out")


def test_an_evaluation_measures_the_front_the_untaught_word_and_the_drift(
    taught: Library, loaded: Any
) -> None:
    seen: list[tuple[int, int]] = []
    found = evaluate_concept(
        taught,
        loaded,
        "biscuit",
        points=3,
        prompts=["a photo of {}", "{} in the snow"],
        steps=1,
        on_step=lambda done, total: seen.append((done, total)),
    )
    assert len(found.points) == len(found.subject or ()) == 3
    assert found.scorer == "coarse pixels"
    assert found.subject_steadiness is not None
    assert -1 <= found.subject_steadiness <= 1
    assert found.knee in found.points
    assert 0 < found.hypervolume < 1
    assert 0 <= found.drift < 1
    assert seen[-1][0] == seen[-1][1]
    assert json.loads(json.dumps(found.facts()))["hypervolume_reference"] == [0.0, 0.0]


def test_an_evaluation_without_photos_or_scorer_says_what_is_missing(filled: Library, loaded: Any) -> None:
    with pytest.raises(PerfusionError, match=r"without its photos.*--photos"):
        evaluate_concept(filled, loaded, "mug")
    with pytest.raises(PerfusionError, match=r"Put \{\} once"):
        evaluate_concept(filled, loaded, "mug", photos=[Path("assets/examples/beer-mug")], prompts=["a mug"])
    loaded.__dict__["scorer"] = Missing("There is no CLIP here.")
    with pytest.raises(PerfusionError, match="no CLIP here"):
        evaluate_concept(filled, loaded, "mug", photos=[Path("assets/examples/beer-mug")])


def test_concepts_of_the_negative_prompt_are_found_behind_those_of_the_prompt(
    library: Library, loaded: Any, make_concept: Any
) -> None:
    for name in ("biscuit", "mug", "hat"):
        library.add(make_concept(loaded.base, name))
    assert list(concepts_for(library, "a <mug> and a <Biscuit>", "a <hat>, <mug>")) == [
        "mug",
        "biscuit",
        "hat",
    ]
    assert list(concepts_for(library, "a dog", "a <hat>")) == ["hat"]
    with pytest.raises(PromptError, match="<teapot>"):
        concepts_for(library, "a dog", "a <teapot>")
