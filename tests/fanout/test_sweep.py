"""Sweeps: the grid, and the tables that come of it."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import pytest

from perfusion_core.cli.main import main
from perfusion_core.errors import PerfusionError
from perfusion_core.fanout.manifest import Line
from perfusion_core.fanout.sweep import means_of, read_sweep, rows_of, write_table
from perfusion_core.studio.jobs.worker import owner_lock
from tests.fanout.concepts import make_photos, write_lines
from tests.fanout.small_work import write

SWEEP = """
manifest = "m.jsonl"
[grid]
value_rate = [0.02, 0.03]
steps = [2, 4]
"""


def facts(image: float) -> dict[str, Any]:
    return {"scores": {"image": image, "text": 0.5, "front_hypervolume": image / 2}, "seconds": 2.0}


def test_a_grid_is_every_combination_of_its_values(tmp_path: Path) -> None:
    found = read_sweep(write(tmp_path / "s.toml", SWEEP))
    assert found.manifest == tmp_path / "m.jsonl"
    assert [dict(one.settings) for one in found.combinations] == [
        {"value_rate": rate, "steps": steps} for rate in (0.02, 0.03) for steps in (2, 4)
    ]
    assert len({one.id for one in found.combinations}) == 4


def test_what_is_done_still_counts_when_a_grid_grows(tmp_path: Path) -> None:
    grown = SWEEP.replace("0.03]", "0.03, 0.05]")
    before = {one.id for one in read_sweep(write(tmp_path / "s.toml", SWEEP)).combinations}
    after = {one.id for one in read_sweep(write(tmp_path / "s.toml", grown)).combinations}
    assert before < after


def test_json_says_the_same(tmp_path: Path) -> None:
    text = '{"manifest": "m.jsonl", "bases": ["pocket", "other"], "grid": {"bias": [0.6]}}'
    found = read_sweep(write(tmp_path / "s.json", text))
    assert [(one.base, dict(one.settings)) for one in found.combinations] == [
        ("pocket", {"bias": 0.6}),
        ("other", {"bias": 0.6}),
    ]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[grid]", "does not name its manifest"),
        ("manifest = 3", "does not name its manifest"),
        ('manifest = "m"\nbases = "pocket"', "no list of names"),
        ('manifest = "m"\ngrid = 3', "not a table"),
        ('manifest = "m"\n[grid]\nsteps = 3', "steps is no list"),
        ('manifest = "m"\n[grid]\nsteps = []', "steps is no list"),
        ('manifest = "m"\n[grid]\nstepz = [3]', "no setting “stepz”"),
        ('manifest = "m"\n[grid]\nsteps = [0]', "steps is 0"),
        ('manifest = "m"\nworkers = 3', "“workers”"),
        ("manifest = ", "cannot be understood"),
    ],
)
def test_a_sweep_that_cannot_be_is_refused_in_words(tmp_path: Path, text: str, words: str) -> None:
    with pytest.raises(PerfusionError, match=words):
        read_sweep(write(tmp_path / "s.toml", text))


def test_tables_hold_every_teaching_and_the_means_with_the_best_first(tmp_path: Path) -> None:
    sweep = read_sweep(write(tmp_path / "s.toml", SWEEP))
    lines = [Line(1, "ada", "dog", ()), Line(2, "bea", "dog", ())]
    given = {
        one.item(line).label: facts(0.2 + 0.1 * number)
        for number, one in enumerate(sweep.combinations)
        for line in lines
    }
    rows = rows_of(sweep, lines, given)
    means = means_of(rows)
    with write_table(tmp_path / "table.csv", rows).open(newline="") as file:
        table = list(csv.DictReader(file))
    assert len(table) == 8
    assert {row["concept"] for row in table} == {"ada", "bea"}
    with write_table(tmp_path / "means.csv", means).open(newline="") as file:
        best = next(iter(csv.DictReader(file)))
    assert (best["value_rate"], best["steps"], best["concepts"]) == ("0.03", "4", "2")
    assert float(best["image"]) == pytest.approx(0.5)


def test_a_text_in_a_table_is_never_a_formula(tmp_path: Path) -> None:
    text = '{"manifest": "m", "bases": ["=1+1"], "grid": {"steps": [3]}}'
    sweep = read_sweep(write(tmp_path / "s.json", text))
    lines = [Line(1, "ada", "dog", ())]
    rows = rows_of(sweep, lines, {sweep.combinations[0].item(lines[0]).label: facts(0.5)})
    assert ",'=1+1," in write_table(tmp_path / "t.csv", rows).read_text()


def test_a_sweep_from_the_command_line(
    tmp_path: Path, tiny_folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PERFUSION_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    make_photos(tmp_path, ("ada",))
    write_lines(tmp_path / "m.jsonl", ("ada",))
    sweep = write(tmp_path / "s.toml", 'manifest = "m.jsonl"\n[grid]\nvalue_rate = [0.02, 0.03]\n')
    command = ["sweep", str(sweep), "--workers", "1", "--base", str(tiny_folder), "--device", "cpu"]
    with owner_lock(tmp_path / "home"):
        assert main(command) == 2
    assert "already at work in" in capsys.readouterr().err
    assert not (tmp_path / "s-sweep").exists()
    assert main(command) == 0
    said = capsys.readouterr().out
    assert "value_rate 0.02: " in said
    with (tmp_path / "s-sweep/table.csv").open(newline="") as file:
        assert [row["value_rate"] for row in csv.DictReader(file)] == ["0.02", "0.03"]
    assert len(list((tmp_path / "s-sweep/concepts").iterdir())) == 2
