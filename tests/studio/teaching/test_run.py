from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from perfusion_core.errors import ConceptError, LibraryError, PerfusionError, PhotoError
from perfusion_core.sampling.defaults import sampling_defaults
from perfusion_core.studio.bases import Missing
from perfusion_core.studio.fronts import validation
from perfusion_core.studio.library.library import Library
from perfusion_core.studio.teaching.run import TeachRequest, begin_teaching, find_unfinished, teach
from perfusion_core.studio.teaching.run_folder import RunFolder
from tests.quick_recipe import QUICK


def request(photos: list[Path], **changes: Any) -> TeachRequest:
    return TeachRequest(
        **{"photos": photos, "name": "Biscuit", "superclass": "dog", "settings": QUICK, **changes}
    )


def test_photos_become_a_concept_in_the_library(library: Library, loaded: Any, photos: list[Path]) -> None:
    events: list[Any] = []
    previews: list[Path] = []

    def listen(event: Any, paths: Any) -> None:
        events.append(event.kind)
        previews.extend(paths)

    stages: list[str] = []
    taught = teach(
        library, loaded, begin_teaching(library, request(photos)), listen=listen, say=stages.append
    )
    assert taught.entry is not None
    assert [entry.name for entry in library.entries()] == ["biscuit"]
    assert library.unfinished() == []
    metadata = taught.entry.metadata
    assert {"image", "text", "step", "front_hypervolume", "untaught_image"} <= set(metadata.scores)
    assert set(metadata.bias) == {"local", "global"}
    assert metadata.recipe["scorer"] == "coarse pixels"
    assert metadata.thumbnail is not None
    assert taught.entry.thumbnail is not None
    assert events.count("step") == 4
    assert [path.name for path in previews[:2]] == ["step-0000-0.png", "step-0000-1.png"]
    assert [path.name for path in previews[-2:]] == ["step-0004-0.png", "step-0004-1.png"]
    assert all(path.is_file() for path in previews)
    assert stages == ["Finding the subject", "Teaching", "Measuring the front"]


def test_a_stopped_teaching_goes_on_to_the_same_concept(
    library: Library, loaded: Any, photos: list[Path], tmp_path: Path
) -> None:
    straight = teach(library, loaded, begin_teaching(library, request(photos))).entry
    assert straight is not None

    other = Library(tmp_path / "other")
    folder = begin_teaching(other, request(photos))
    steps: list[int] = []

    def listen(event: Any, _paths: Any) -> None:
        if event.kind == "step":
            steps.append(event.step)

    stopped = teach(other, loaded, folder, listen=listen, should_stop=lambda: len(steps) >= 1)
    assert stopped.entry is None
    assert other.entries() == []
    for photo in photos:  # a resumed teaching needs nothing from outside
        photo.unlink()
    assert find_unfinished(other, "BISCUIT") == folder
    finished = teach(other, loaded, folder, listen=listen)
    assert finished.entry is not None
    assert steps == [1, 2, 3, 4]
    assert finished.entry.load().content_hash == straight.load().content_hash
    assert finished.entry.metadata.scores == straight.metadata.scores
    assert finished.entry.metadata.bias == straight.metadata.bias


@pytest.mark.parametrize("while_", ["Teaching", "Measuring the front"])
def test_a_teaching_stops_in_the_middle_of_being_judged_and_goes_on(
    library: Library, loaded: Any, photos: list[Path], while_: str
) -> None:
    folder = begin_teaching(library, request(photos))
    stages: list[str] = []
    stopped = teach(library, loaded, folder, say=stages.append, should_stop=lambda: stages[-1:] == [while_])
    assert stopped.entry is None
    assert library.entries() == []
    assert teach(library, loaded, folder).entry is not None


def test_what_was_learned_is_kept_when_teaching_fails(
    library: Library, loaded: Any, photos: list[Path]
) -> None:
    folder = begin_teaching(library, request(photos))

    def listen(event: Any, _paths: Any) -> None:
        if event.step == 3:
            raise PerfusionError("no more space")

    with pytest.raises(PerfusionError, match="no more space"):
        teach(library, loaded, folder, listen=listen)
    assert (RunFolder(folder).run / "checkpoint.pt").is_file()
    assert teach(library, loaded, find_unfinished(library)).entry is not None


def test_masks_come_from_the_person_where_given_and_from_the_segmenter_elsewhere(
    library: Library, loaded: Any, photos: list[Path]
) -> None:
    drawn = Image.new("L", (80, 80), 0)
    drawn.paste(255, (0, 0, 10, 10))
    folder = begin_teaching(library, request(photos, masks={"photo 1": drawn}))
    teach(library, loaded, folder)
    _, masks = RunFolder(folder).squares()
    assert masks[1][:10, :10].min() == 1.0
    assert masks[1].sum() == 100
    assert masks[0][40, 40] == 1.0
    assert masks[0].sum() > 1000


def test_a_chosen_square_is_learned_from_and_its_mask_follows(
    library: Library, loaded: Any, photos: list[Path]
) -> None:
    box = (10, 5, 50, 45)
    folder = begin_teaching(library, request(photos, crops=[box, None]))
    teach(library, loaded, folder)
    run = RunFolder(folder)
    squares, masks = run.squares()
    with Image.open(photos[0]) as whole:
        assert squares[0].tobytes() == whole.convert("RGB").crop(box).tobytes()
    assert masks[0].shape == (40, 40)
    assert [facts.crop for facts in run.teaching().photos] == [box, None]


def test_a_mask_drawn_over_a_chosen_square_reaches_the_trainer(
    library: Library, loaded: Any, photos: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    from perfusion_core.training import trainer

    seen: list[Any] = []

    def watched(base: Any, task: Any, *rest: Any, **options: Any) -> Any:
        seen.append((task.photos[1].image.size, task.masks[1]))
        return original(base, task, *rest, **options)

    original = trainer.events_and_steps
    monkeypatch.setattr(trainer, "events_and_steps", watched)
    drawn = np.zeros((40, 40), dtype=np.float32)
    drawn[:20] = 1
    asked = request(photos, masks=[None, drawn], crops=[None, (10, 5, 50, 45)])
    folder = begin_teaching(library, asked)
    teach(library, loaded, folder)
    assert seen[0][0] == (40, 40)
    assert np.array_equal(seen[0][1], drawn)
    recipe = RunFolder(folder).recipe()
    assert recipe is not None
    assert recipe.mask == "given"


def test_the_memory_that_was_set_reaches_the_recipe_of_a_large_base(
    library: Library, loaded: Any, photos: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    from perfusion_core.training import recipe as recipes

    loaded.settings = replace(loaded.settings, memory=1.0)
    folder = begin_teaching(library, request(photos, settings={"steps": 1, "validation_steps": 1}))
    monkeypatch.setattr(recipes, "SMALL_TEXT_WIDTH", 1)  # as if the tiny base were a Stable Diffusion
    teach(library, loaded, folder, should_stop=lambda: True)
    recipe = RunFolder(folder).recipe()
    assert recipe is not None
    assert (recipe.batch_size, recipe.accumulation, recipe.gradient_checkpointing) == (1, 16, True)


@pytest.mark.parametrize("asked", [{"validation_guidance": 3.25}, {}])
def test_every_image_that_is_scored_has_the_guidance_asked_for_else_the_bases_own(
    library: Library,
    loaded: Any,
    photos: list[Path],
    monkeypatch: pytest.MonkeyPatch,
    asked: dict[str, float],
) -> None:
    made: list[Any] = []

    def watched(*arguments: Any, **options: Any) -> Any:
        found = original(*arguments, **options)
        made.append([image.recipe.guidance for image in found.images])
        return found

    original = validation.generate_rows
    monkeypatch.setattr(validation, "generate_rows", watched)
    teach(library, loaded, begin_teaching(library, request(photos, settings={**QUICK, **asked})))
    assert len(made) > 3  # three checkpoints, and the front
    own = sampling_defaults(loaded.base).guidance
    assert {guidance for images in made for guidance in images} == {asked.get("validation_guidance", own)}


def test_without_masks_the_whole_photo_counts(library: Library, loaded: Any, photos: list[Path]) -> None:
    folder = begin_teaching(library, request(photos, mask="none"))
    teach(library, loaded, folder)
    assert all(mask.min() == 1.0 for mask in RunFolder(folder).squares()[1])


def test_a_missing_scorer_or_segmenter_is_told_and_worked_around(
    library: Library, loaded: Any, photos: list[Path]
) -> None:
    loaded.__dict__["scorer"] = Missing("There is no CLIP here.")
    loaded.__dict__["segmenter"] = Missing("There is no CLIPSeg here.")
    taught = teach(library, loaded, begin_teaching(library, request(photos)))
    assert taught.entry is not None
    assert any("no CLIP here" in warning for warning in taught.warnings)
    assert any("no CLIPSeg here" in warning for warning in taught.warnings)
    assert "image" not in taught.entry.metadata.scores


def test_one_photo_is_enough(library: Library, loaded: Any, photos: list[Path]) -> None:
    assert teach(library, loaded, begin_teaching(library, request(photos[:1]))).entry is not None


@pytest.mark.parametrize(
    ("changes", "error", "words"),
    [
        ({"name": "../x"}, ConceptError, "letters"),
        ({"superclass": " "}, PerfusionError, "what kind of thing"),
        ({"superclass": "<dog>"}, PerfusionError, "what kind of thing"),
        ({"photos": []}, PhotoError, "No photos"),
        ({"masks": [None]}, PhotoError, "2 different photos and 1 masks"),
        ({"crops": [None]}, PhotoError, "2 different photos and 1 crops"),
        ({"crops": [(0, 0, 9, 8), None]}, PhotoError, "not a square inside"),
        ({"masks": [np.full((9, 9), np.nan), None]}, PhotoError, "mask"),
    ],
)
def test_what_cannot_be_taught_is_refused_before_anything_is_made(
    library: Library, photos: list[Path], changes: dict[str, Any], error: type[Exception], words: str
) -> None:
    with pytest.raises(error, match=words):
        begin_teaching(library, replace(request(photos), **changes))
    assert library.unfinished() == []
    assert not list(library.folder.glob("*")) if library.folder.exists() else True


def test_a_taken_name_is_refused_at_the_start_or_overwritten_at_the_end(
    library: Library, loaded: Any, photos: list[Path], make_concept: Any
) -> None:
    library.add(make_concept(loaded.base))
    with pytest.raises(LibraryError, match="already"):
        begin_teaching(library, request(photos))
    teach(library, loaded, begin_teaching(library, request(photos, overwrite=True)))
    assert len(library.entries()) == 1
    assert len(library.deleted()) == 1


def test_a_setting_that_does_not_exist_is_named(library: Library, loaded: Any, photos: list[Path]) -> None:
    folder = begin_teaching(library, request(photos, settings={"stepz": 3}))
    with pytest.raises(PerfusionError, match="stepz"):
        teach(library, loaded, folder)


def test_looking_for_an_unfinished_teaching_says_what_there_is(library: Library, photos: list[Path]) -> None:
    with pytest.raises(LibraryError, match="no unfinished teaching to resume"):
        find_unfinished(library)
    begin_teaching(library, request(photos))
    with pytest.raises(LibraryError, match=r"of <mug> to resume. There is one of <biscuit>"):
        find_unfinished(library, "mug")


def test_damaged_run_files_are_named_not_trusted(library: Library, loaded: Any, photos: list[Path]) -> None:
    folder = begin_teaching(library, request(photos))
    run = RunFolder(folder)
    photo = next((run.run / "photos").iterdir())
    photo.write_bytes(b"not a picture")
    with pytest.raises(LibraryError, match=photo.name):
        teach(library, loaded, folder)
    (run.run / "teach.json").write_text("{}")
    with pytest.raises(LibraryError, match="missing or damaged"):
        teach(library, loaded, folder)
