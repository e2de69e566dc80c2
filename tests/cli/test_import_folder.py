"""`library import` of a folder."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from perfusion_core.cli.main import main
from perfusion_core.concept import save_concept
from perfusion_core.studio.library.library import Library


@pytest.fixture
def results(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tiny_base: Any, make_concept: Any) -> Path:
    monkeypatch.setenv("PERFUSION_HOME", str(tmp_path / "home"))
    folder = tmp_path / "results"
    folder.mkdir()
    for seed, name in enumerate(("lamp", "rex")):
        save_concept(make_concept(tiny_base, name=name, seed=seed), folder / f"{name}.safetensors")
    return folder


def names(folder: Path) -> set[str]:
    return {entry.name for entry in Library(folder.parent / "home").entries()}


def test_what_became_of_each_file_is_said_and_the_exit_code_tells_if_all_are_in(
    results: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["library", "import", str(results)]) == 0
    assert "2 concepts imported." in capsys.readouterr().out
    assert {"lamp", "rex"} <= names(results)

    (results / "bad\x1b.safetensors").write_bytes(b"PK\x03\x04")
    assert main(["library", "import", str(results)]) == 2
    said = capsys.readouterr().out
    assert "0 concepts imported, 2 here already, 1 refused." in said
    assert "“rex.safetensors” is here already as <rex>." in said
    assert "it is an archive" in said
    assert "\x1b" not in said


@pytest.mark.parametrize("option", [["--name", "other"], ["--overwrite"]])
def test_options_for_a_single_file_are_refused_and_nothing_is_imported(
    results: Path, capsys: pytest.CaptureFixture[str], option: list[str]
) -> None:
    assert main(["library", "import", str(results), *option]) == 2
    assert "--name and --overwrite are for a single file" in capsys.readouterr().err
    assert not {"lamp", "rex"} & names(results)


def test_a_folder_without_concepts_is_an_error(tmp_path: Path, results: Path, capsys: Any) -> None:
    (tmp_path / "empty").mkdir()
    assert main(["library", "import", str(tmp_path / "empty")]) == 2
    assert "no concept file" in capsys.readouterr().err
