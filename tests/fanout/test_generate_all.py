"""`generate-all`: lists of prompts, and the same images as `generate` makes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from perfusion_core.cli.main import main
from perfusion_core.concept import save_concept
from perfusion_core.errors import PerfusionError
from perfusion_core.fanout.prompt_list import read_prompts
from perfusion_core.sampling.png import read_recipe
from tests.fanout.small_work import write


def test_a_list_is_understood(tmp_path: Path) -> None:
    text = "prompt,seed,biases,count,guidance,lock\na <mug>,7,mug=0.5;<dog>=0.6,2,3.5,global\nplain,,,,,\n"
    found = read_prompts(write(tmp_path / "p.csv", text))
    assert found.problems == []
    first, second = (line.request for line in found.lines)
    assert (first.prompt, first.seed, first.count, first.guidance) == ("a <mug>", 7, 2, 3.5)
    assert (first.lock, dict(first.biases)) == ("global", {"mug": 0.5, "dog": 0.6})
    assert (second.prompt, second.seed, second.count, dict(second.biases)) == ("plain", 0, 1, {})
    assert found.lines[0].label == "00002-seed7-a-mug"


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("{}", "prompt is missing"),
        ('{"prompt": 3}', "not text"),
        ('{"prompt": "a", "sead": 3}', "no column “sead”"),
        ('{"prompt": "a", "seed": "x"}', "seed is “x”"),
        ('{"prompt": "a", "seed": -1}', "seed is -1"),
        ('{"prompt": "a", "count": 999}', "number of images"),
        ('{"prompt": "a", "guidance": NaN}', "guidance"),
        ('{"prompt": "a", "lock": "soft"}', "lock is “soft”"),
        ('{"prompt": "a", "biases": "mug"}', "biases is “mug”"),
        ('{"prompt": "a", "biases": {"mug": true}}', "biases"),
        ('{"prompt": "a", "biases": {"mug": 99}}', "99"),
        ('{"prompt": "a", "biases": 3}', "biases is “3”"),
        ("3", "not an object"),
    ],
)
def test_a_bad_line_is_named(tmp_path: Path, line: str, words: str) -> None:
    found = read_prompts(write(tmp_path / "p.jsonl", line))
    assert found.lines == []
    assert str(found.problems[0]).startswith("line 1: ")
    assert words in str(found.problems[0])


def test_an_empty_list(tmp_path: Path) -> None:
    with pytest.raises(PerfusionError, match="lists nothing"):
        read_prompts(write(tmp_path / "p.csv", "prompt\n"))


def test_images_are_those_that_generate_makes_and_are_made_once(
    tmp_path: Path,
    tiny_folder: Path,
    make_concept: Any,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from perfusion_core.model.base import load_base

    monkeypatch.setenv("PERFUSION_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    (tmp_path / "concepts").mkdir()
    concept = make_concept(load_base(tiny_folder, device="cpu"))
    save_concept(concept, tmp_path / "concepts/biscuit.safetensors")
    prompt = "a photo of <biscuit> on the beach"
    text = f"prompt,seed,steps,count,biases\n{prompt},7,2,2,biscuit=0.6\na dog,3,2,,\n"
    listed = write(tmp_path / "p.csv", text)
    base = ["--base", str(tiny_folder), "--device", "cpu"]
    command = ["generate-all", str(listed), "--concepts", str(tmp_path / "concepts"), "--workers", "1", *base]
    assert main(command) == 0
    made = sorted((tmp_path / "p-images/images").iterdir())
    assert [path.name for path in made] == [
        "00002-seed7-a-photo-of-biscuit-on-the-beach-001.png",
        "00002-seed7-a-photo-of-biscuit-on-the-beach-002.png",
        "00003-seed3-a-dog.png",
    ]
    assert [read_recipe(path).seed for path in made] == [7, 8, 3]

    assert main(["library", "import", str(tmp_path / "concepts/biscuit.safetensors")]) == 0
    capsys.readouterr()
    alone = ["generate", prompt, "-n", "2", "--seed", "7", "--steps", "2", "--bias", "biscuit=0.6", *base]
    assert main([*alone, "--out", str(tmp_path / "alone")]) == 0
    paths = [Path(line) for line in capsys.readouterr().out.splitlines()]
    assert [path.read_bytes() for path in paths] == [path.read_bytes() for path in made[:2]]

    times = [path.stat().st_mtime_ns for path in made]
    assert main(command) == 0
    assert [path.stat().st_mtime_ns for path in made] == times


def test_a_concept_that_is_not_there_is_told_before_anything_starts(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PERFUSION_HOME", str(tmp_path / "home"))
    listed = write(tmp_path / "p.csv", "prompt\na <nobody>\n")
    assert main(["generate-all", str(listed)]) == 2
    assert "nobody" in capsys.readouterr().err
    assert main(["generate-all", str(listed), "--concepts", str(tmp_path / "none")]) == 2
    assert "There is no folder" in capsys.readouterr().err
    assert not (tmp_path / "p-images").exists()
