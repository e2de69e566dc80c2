"""Manifests: what is understood, and how everything else is refused by its line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from PIL import Image

from perfusion_core.errors import PerfusionError
from perfusion_core.fanout import list_file
from perfusion_core.fanout.manifest import Manifest, read_manifest
from tests.fanout.small_work import write


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for place in ("dog", "mug"):
        (tmp_path / place).mkdir()
        for number in (1, 2):
            Image.new("RGB", (70, 70), "brown").save(tmp_path / place / f"{number}.png")
    return tmp_path


def csv(folder: Path, *lines: str) -> Manifest:
    return read_manifest(
        write(folder / "m.csv", "\n".join(("name,superclass,photos,steps,flip,mask", *lines)))
    )


def problem(found: Manifest) -> str:
    assert found.lines == []
    (one,) = found.problems
    return str(one)


def test_a_csv_from_a_spreadsheet_is_understood(folder: Path) -> None:
    lines = (
        "\ufeffname;superclass;photos;steps;value_rate;flip",
        "Biscuit; dog ;dog;;0.02;FALSE",
        "",
        "mug;cup;mug/*.png;60;;",
        "",
    )
    text = "\r\n".join(lines)
    found = read_manifest(write(folder / "m.csv", text))
    assert found.problems == []
    first, second = found.lines
    assert (first.number, first.name, first.superclass) == (2, "biscuit", "dog")
    assert first.settings == {"value_rate": 0.02, "flip": False}
    assert first.photos == (folder / "dog",)
    assert (second.number, second.settings) == (4, {"steps": 60})
    assert second.photos == (folder / "mug/1.png", folder / "mug/2.png")
    assert len(second.digests) == 2
    assert second.bytes == sum(path.stat().st_size for path in second.photos)


def test_json_lines_may_list_photos_and_nest_settings(folder: Path) -> None:
    lines = [
        {"name": "a", "superclass": "dog", "photos": ["dog/1.png", "mug"], "settings": {"steps": 5}},
        {"name": "b", "superclass": "cup", "photos": str(folder / "mug"), "pace": "quick", "seed": 3},
    ]
    found = read_manifest(write(folder / "m.jsonl", "\n".join(map(json.dumps, lines))))
    assert found.problems == []
    assert [len(line.digests) for line in found.lines] == [3, 2]
    assert [dict(line.settings) for line in found.lines] == [{"steps": 5}, {"seed": 3}]
    assert found.lines[1].pace == "quick"


def test_several_photo_paths_and_names_with_glob_characters(folder: Path) -> None:
    (folder / "[odd] *").mkdir()
    Image.new("RGB", (70, 70)).save(folder / "[odd] *" / "1.png")
    found = csv(folder, "a,dog,[odd] *|dog/2.png,,,")
    assert found.problems == []
    assert len(found.lines[0].digests) == 2


@pytest.mark.parametrize(
    ("line", "words"),
    [
        (",dog,dog,,,", "name is missing"),
        ("a,,dog,,,", "superclass is missing"),
        ("a,dog,,,,", "photos is missing"),
        ("a b,dog,dog,,,", "cannot be a name"),
        ("a,<dog>,dog,,,", "what kind of thing"),
        ("a,dog,cat,,,", "nothing at “cat”"),
        ("a,dog,dog/*.jpg,,,", "nothing at “dog/*.jpg”"),
        ("a,dog,dog||mug,,,", "empty path"),
        ("a,dog,m.csv,,,", "not a photo"),
        ("a,dog,dog,0,,", "steps is 0"),
        ("a,dog,dog,many,,", "steps must be a whole number"),
        ("a,dog,dog,,perhaps,", "flip"),
        ("a,dog,dog,,,given", "mask is “given”"),
        ("a,dog,dog,,,,,", "8 cells for 6 columns"),
        ('a,"dog"x,dog,,,', "it is not CSV"),
    ],
)
def test_a_bad_line_is_named_with_what_to_do(folder: Path, line: str, words: str) -> None:
    said = problem(csv(folder, line))
    assert said.startswith("line 2: ")
    assert words in said


def test_all_bad_lines_are_named_and_sound_ones_kept(folder: Path) -> None:
    found = csv(folder, "a,dog,dog,,,", "b,dog,cat,,,", "A,dog,mug,,,", "c,dog,dog,-1,,")
    assert [line.name for line in found.lines] == ["a"]
    assert [one.number for one in found.problems] == [3, 4, 5]
    assert "taken by line 2" in str(found.problems[1])


def test_names_that_look_alike_are_refused(folder: Path) -> None:
    found = csv(folder, "cope,dog,dog,,,", "соре,dog,mug,,,")  # the second is Cyrillic
    assert "looks like it" in str(found.problems[0])


def test_a_setting_that_does_not_exist_is_named(folder: Path) -> None:
    found = read_manifest(write(folder / "m.csv", "name,superclass,photos,stepz\na,dog,dog,3"))
    assert "There is no setting “stepz”" in problem(found)


@pytest.mark.parametrize("name", ["empty.png", "small.png"])
def test_photos_that_their_headers_refuse_are_found_before_anything_starts(folder: Path, name: str) -> None:
    (folder / "empty.png").touch()
    Image.new("RGB", (20, 20)).save(folder / "small.png")
    assert f"“{name}”" in problem(csv(folder, f"a,dog,{name},,,"))


@pytest.mark.parametrize(
    "line", ['{"name": "a"', "[1]", '{"name": 1, "superclass": "dog", "photos": "dog"}', "[" * 9999]
)
def test_lines_that_are_no_object_of_texts(folder: Path, line: str) -> None:
    assert problem(read_manifest(write(folder / "m.jsonl", line))).startswith("line 1: ")


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "lists nothing"),
        (b"name,superclass,photos\n", "lists nothing"),
        (b"\xff\xfe", "not UTF-8"),
        (b"a,a\n1,2", "two columns"),
    ],
)
def test_files_that_are_no_manifest(folder: Path, content: bytes, words: str) -> None:
    (folder / "m.csv").write_bytes(content)
    with pytest.raises(PerfusionError, match=words):
        read_manifest(folder / "m.csv")


def test_a_missing_a_huge_and_an_endless_manifest(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(PerfusionError, match="cannot be read"):
        read_manifest(folder / "none.csv")
    with pytest.raises(PerfusionError, match="cannot be read"):
        read_manifest(folder)
    monkeypatch.setattr(list_file, "MOST_LINES", 1)
    with pytest.raises(PerfusionError, match="more than 1 lines"):
        csv(folder, "a,dog,dog,,,", "b,dog,mug,,,")
    monkeypatch.setattr(list_file, "LARGEST", 10)
    with pytest.raises(PerfusionError, match="larger than"):
        csv(folder, "a,dog,dog,,,")
