"""Folders of concepts, DreamBench's layout, and the command's options."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.rivals.dreambench import LIST, dreambench_prompts, is_dreambench, kind_from_name, read_kinds
from benchmarks.rivals.options import read_options
from benchmarks.rivals.prompts import PROMPTS, TUNING_PROMPTS
from benchmarks.rivals.study import split
from benchmarks.rivals.subject import Subject, read_subjects
from perfusion_core.errors import PerfusionError
from tests.rivals.conftest import disc


@pytest.fixture
def dreambench(tmp_path: Path) -> Path:
    folder = tmp_path / "dataset"
    for name in ("backpack_dog", "cat2", "colorful_sneaker"):
        (folder / name).mkdir(parents=True)
        for place in range(4):
            (folder / name / f"{place:02d}.jpg").write_bytes(disc((200, 90, 20), place + len(name) % 3))
    return folder


def test_a_dreambench_folder_is_read(dreambench: Path) -> None:
    assert is_dreambench(dreambench)
    subjects = read_subjects(dreambench, held_out=1)
    kinds = {subject.name: subject.superclass for subject in subjects}
    assert kinds == {"backpack-dog": "backpack", "cat2": "cat", "colorful-sneaker": "sneaker"}
    for subject in subjects:
        assert len(subject.photos) == 3
        assert len(subject.held_out) == 1
        assert len(subject.prompts) == 25
    assert subjects[1].prompts == dreambench_prompts(alive=True)
    assert subjects[0].prompts == dreambench_prompts(alive=False)


def test_its_list_says_the_kinds_where_there_is_one(dreambench: Path) -> None:
    text = "Classes\nsubject_name,class\nbackpack_dog,bag\ncat2,cat\n\nPrompts\n'a {0} {1} in snow'\n"
    (dreambench / LIST).write_text(text)
    assert read_kinds(dreambench) == {"backpack_dog": "bag", "cat2": "cat", "colorful_sneaker": "sneaker"}


def test_every_prompt_takes_the_concept_once_and_none_occurs_twice() -> None:
    for prompts in (dreambench_prompts(True), dreambench_prompts(False), PROMPTS, TUNING_PROMPTS):
        texts = [prompt.text for prompt in prompts]
        assert len(set(texts)) == len(texts)
        assert all(text.count("{}") == 1 for text in texts)
    assert len(PROMPTS) == 20
    assert not {p.text for p in PROMPTS} & {p.text for p in TUNING_PROMPTS}
    recoloured = [p for p in dreambench_prompts(True) if not p.own_colours]
    assert len(recoloured) == 5


@pytest.mark.parametrize(
    ("name", "kind"), [("dog6", "dog"), ("rc_car", "toy"), ("red_cartoon", "cartoon"), ("vase", "vase")]
)
def test_a_kind_from_a_folders_name(name: str, kind: str) -> None:
    assert kind_from_name(name) == kind


def test_held_out_photos_are_never_learned_from(subjects: list[Subject]) -> None:
    assert [s.superclass for s in subjects] == ["dog", "cup", "dog", "ball"]
    for subject in subjects:
        learned = {photo.image.tobytes() for photo in subject.photos}
        assert not learned & {image.tobytes() for image in subject.held_out}
        assert len(subject.with_one_photo().photos) == 1
        assert subject.with_one_photo().held_out == subject.held_out
        assert subject.with_one_photo().sha != subject.sha
    assert len({s.identifier for s in subjects}) == 4


def test_too_few_photos_are_refused_with_the_way_out(concepts: Path) -> None:
    with pytest.raises(PerfusionError, match=r"amber has 4 photos; 4 are held out.*--held-out"):
        read_subjects(concepts, held_out=4)
    with pytest.raises(PerfusionError, match="no folder"):
        read_subjects(concepts / "absent")


def test_development_concepts_are_left_out(subjects: list[Subject]) -> None:
    develop, compared = split(subjects, read_options([]))
    assert [s.name for s in develop] == ["amber", "blue-cup"]
    assert [s.name for s in compared] == ["coral", "denim"]
    develop, compared = split(subjects, read_options(["--develop", "denim", "--limit", "2"]))
    assert [s.name for s in compared] == ["amber", "blue-cup"]
    with pytest.raises(PerfusionError, match=r"'nobody'.*amber"):
        split(subjects, read_options(["--develop", "nobody"]))
    with pytest.raises(PerfusionError, match="Nothing is left"):
        split(subjects[:2], read_options([]))


def test_options_are_checked_and_a_number_goes_before_quick() -> None:
    quick = read_options(["--quick", "--seeds", "3"])
    assert (quick.seeds, quick.prompts) == (3, 4)
    with pytest.raises(PerfusionError, match="no part 'speed'"):
        read_options(["--parts", "budget,speed"])
    with pytest.raises(PerfusionError, match="--seeds is 0"):
        read_options(["--seeds", "0"])
