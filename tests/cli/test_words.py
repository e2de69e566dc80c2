"""The words a base knows, on the command line."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from perfusion_core.cli.main import main
from perfusion_core.model.known_words import FILE_NAME
from tests.worded_base import worded

ROOT = Path(__file__).parents[2]


@pytest.fixture
def base(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("PERFUSION_HOME", str(tmp_path / "home"))
    (tmp_path / "plain").mkdir()
    return worded(tmp_path / "plain", tmp_path / "worded")


def test_the_words_are_listed_by_group(base: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["words", "--base", str(base)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("animals: bear, bird, butterfly")
    assert "joints: next to, and" in lines


def test_a_base_without_a_list_says_so(base: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["words", "--base", str(base.parent / "plain")]) == 0
    assert f"brings no {FILE_NAME}" in capsys.readouterr().out


def test_a_damaged_list_is_named(base: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (base / FILE_NAME).write_text("[1]")
    assert main(["words", "--base", str(base)]) == 2
    assert f"{FILE_NAME} of the base model “worded” is not used" in capsys.readouterr().err


def test_teaching_tells_of_an_unknown_kind_before_it_begins(
    base: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    # The folder holds no model, so the teaching itself is refused afterwards.
    photo = str(ROOT / "assets" / "ui" / "icon.png")
    asked = ["teach", "--photos", photo, "--name", "cosy", "--base", str(base), "--superclass"]
    assert main([*asked, "mug"]) == 2
    assert "does not know the word “mug”. Try cup." in capsys.readouterr().err
    assert main([*asked, "quark"]) == 2
    assert "Try one of those that `python app.py words` lists." in capsys.readouterr().err
    assert main([*asked, "cup"]) == 2
    assert "does not know the word" not in capsys.readouterr().err


def test_unknown_words_of_a_prompt_are_told_before_the_base_is_loaded(
    base: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    # The folder holds no model, so nothing is generated afterwards.
    assert main(["generate", "a photo of dogs and a wizard", "--base", str(base)]) == 2
    assert "does not know “dogs” (“dog”?), “wizard”;" in capsys.readouterr().err
    assert main(["generate", "a photo of a dog on the beach", "--base", str(base)]) == 2
    assert "does not know" not in capsys.readouterr().err


def test_listing_words_imports_nothing_heavy(base: Path) -> None:
    program = (
        "import sys; from perfusion_core.cli.main import main; "
        f"main(['words', '--base', {str(base)!r}]); "
        "print(*(m for m in ('torch', 'transformers', 'gradio') if m in sys.modules), file=sys.stderr)"
    )
    answer = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert answer.stderr.split() == []
