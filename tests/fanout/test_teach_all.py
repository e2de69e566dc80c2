"""`teach-all` on this machine, with real workers and a tiny base: faults, resuming, equality."""

from __future__ import annotations

import argparse
import multiprocessing
import signal
import subprocess
import sys
import threading
from pathlib import Path

import psutil
import pytest

from perfusion_core.cli import fanout_run, fanout_verbs
from perfusion_core.cli.main import main
from perfusion_core.concept import load_concept
from perfusion_core.errors import PerfusionError
from tests.fanout.concepts import log_of, make_hostile, make_photos, same, taught_alone, wait_for, write_lines

ROOT = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def _home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PERFUSION_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")


def test_a_bad_concept_is_reported_the_others_are_taught_and_only_what_is_missing_is_done_again(
    tmp_path: Path, tiny_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    names = ("ada", "bea", "cleo")
    make_photos(tmp_path, names)
    sound = (tmp_path / "bea/0.png").read_bytes()
    make_hostile(tmp_path / "bea")
    manifest = write_lines(tmp_path / "m.jsonl", names)
    command = ["teach-all", str(manifest), "--workers", "2", "--threads", "1", "--base", str(tiny_folder)]
    command += ["--device", "cpu"]
    assert main(command) == 1
    said = capsys.readouterr().err
    assert "failed: bea: “0.png” cannot be read to its end" in said
    out = tmp_path / "m-taught"
    assert sorted(path.stem for path in (out / "concepts").iterdir()) == ["ada", "cleo"]
    page = (out / "report.html").read_text("utf-8")
    assert page.index("bea") < page.index("ada")
    assert page.count("data:image/webp") == 2 * (2 + 2 + 5)  # photos, previews and the front of two concepts

    (tmp_path / "bea/0.png").write_bytes(sound)
    (out / "images/cleo.json").unlink()  # no longer whole: to be made again
    assert main(command) == 0
    begun = [event for event in log_of(out) if event["event"] == "begun"]
    assert [(event["total"], event["done"]) for event in begun] == [(3, 0), (3, 1)]

    for number, name in enumerate(names):
        alone = taught_alone(tiny_folder, tmp_path, name, tmp_path / f"alone-{name}", seed=number)
        assert same(load_concept(out / f"concepts/{name}.safetensors"), alone), name


def test_a_killed_driver_goes_on_from_checkpoints_to_the_same_concepts(
    tmp_path: Path, tiny_folder: Path
) -> None:
    names = ("ada", "bea")
    make_photos(tmp_path, names)
    longer = {"steps": 60, "checkpoint_every": 20}
    manifest = write_lines(tmp_path / "m.jsonl", names, **longer)
    out = tmp_path / "out"
    command = ["teach-all", str(manifest), "--workers", "1", "--threads", "1", "--base", str(tiny_folder)]
    command += ["--device", "cpu", "--out", str(out)]
    driver = subprocess.Popen([sys.executable, "app.py", *command], cwd=ROOT, stderr=subprocess.DEVNULL)
    try:
        wait_for(
            lambda: sum(e["event"] == "checkpoint" and e["label"] == "bea" for e in log_of(out)) >= 2, driver
        )
    finally:
        driver.send_signal(signal.SIGKILL)
        driver.wait()
    before = len(log_of(out))
    assert main(command) == 0
    after = log_of(out)[before:]
    started = [(e["label"], e["resumed"]) for e in after if e["event"] == "started"]
    assert started == [("bea", True)]
    # At steps 0, 20, 40 and 60; the first two were there and are not judged again.
    assert sum(event["event"] == "checkpoint" for event in after) <= 2
    assert not (out / "unfinished/bea").exists()
    alone = taught_alone(tiny_folder, tmp_path, "bea", tmp_path / "alone", seed=1, **longer)
    assert same(load_concept(out / "concepts/bea.safetensors"), alone)


@pytest.mark.skipif(sys.platform == "win32", reason="Windows sends no SIGINT to one process")
def test_ctrl_c_ends_with_its_own_exit_code_leaves_no_process_and_goes_on(
    tmp_path: Path, tiny_folder: Path
) -> None:
    make_photos(tmp_path, ("ada",))
    manifest = write_lines(tmp_path / "m.jsonl", ("ada",), steps=60, checkpoint_every=20)
    out = tmp_path / "out"
    command = ["teach-all", str(manifest), "--workers", "1", "--threads", "1", "--base", str(tiny_folder)]
    command += ["--device", "cpu", "--out", str(out)]
    driver = subprocess.Popen(
        [sys.executable, "app.py", *command], cwd=ROOT, stderr=subprocess.PIPE, text=True
    )
    try:
        wait_for(lambda: any(event["event"] == "checkpoint" for event in log_of(out)), driver)
        workers = psutil.Process(driver.pid).children(recursive=True)
        driver.send_signal(signal.SIGINT)
        said = driver.communicate(timeout=900)[1]
    finally:
        driver.kill()
    assert driver.returncode == 130
    assert "Traceback" not in said
    _, alive = psutil.wait_procs(workers, timeout=60)
    assert alive == []
    before = len(log_of(out))
    assert main(command) == 0
    assert [e["resumed"] for e in log_of(out)[before:] if e["event"] == "started"] == [True]


def test_a_killed_worker_loses_none_of_the_concepts_of_its_batch(tmp_path: Path, tiny_folder: Path) -> None:
    names = ("ada", "bea")
    make_photos(tmp_path, names)
    manifest = write_lines(tmp_path / "m.jsonl", names, steps=12, checkpoint_every=4)
    out = tmp_path / "out"
    command = ["teach-all", str(manifest), "--workers", "1", "--threads", "1", "--base", str(tiny_folder)]
    command += ["--device", "cpu", "--out", str(out), "--together", "2"]

    def kill_the_worker() -> None:
        wait_for(lambda: {e["label"] for e in log_of(out) if e["event"] == "checkpoint"} == set(names))
        for worker in multiprocessing.active_children():
            worker.kill()

    killer = threading.Thread(target=kill_the_worker)
    killer.start()
    assert main(command) == 0
    killer.join()
    log = log_of(out)
    assert sum(event["event"] == "worker died" for event in log) == 1
    started = [(e["label"], e["resumed"]) for e in log if e["event"] == "started"]
    assert started == [("ada", False), ("bea", False), ("ada", True), ("bea", True)]
    assert {path.stem for path in (out / "concepts").iterdir()} == set(names)
    assert not list((out / "unfinished").iterdir())
    assert {path.stem for path in (out / "done").iterdir()} == set(names)
    assert (out / "report.html").read_text("utf-8").count("<h2>") == 2


def test_a_bad_line_stops_everything_before_it_starts(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    make_photos(tmp_path, ("ada",))
    manifest = write_lines(tmp_path / "m.jsonl", ("ada", "bea", "a d a"))
    assert main(["teach-all", str(manifest)]) == 2
    said = capsys.readouterr().err
    assert "m.jsonl, line 2: photos: there is nothing at “bea”" in said
    assert "m.jsonl, line 3: " in said
    assert "2 of 3 lines" in said
    assert not (tmp_path / "m-taught").exists()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--workers", "0"], "--workers takes auto"),
        (["--share", "0"], "--share is 0"),
        (["--threads", "0"], "--threads is 0"),
        (["--together", "0"], "--together is 0; choose how many concepts share a batch, from 1 to 64"),
        (["--together", "65"], "--together is 65"),
        (["--base", "nowhere/at/all"], "nowhere"),
    ],
)
def test_options_that_cannot_be(
    tmp_path: Path, options: list[str], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    make_photos(tmp_path, ("ada",))
    assert main(["teach-all", str(write_lines(tmp_path / "m.jsonl", ("ada",))), *options]) == 2
    assert words in capsys.readouterr().err


def test_a_dry_run_measures_and_leaves_nothing(
    tmp_path: Path, tiny_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    make_photos(tmp_path, ("ada", "bea"))
    manifest = write_lines(tmp_path / "m.jsonl", ("ada", "bea"))
    command = ["teach-all", str(manifest), "--check", "--workers", "1", "--base", str(tiny_folder)]
    assert main([*command, "--device", "cpu", "--together", "2"]) == 0
    said = capsys.readouterr().out
    assert "2 teachings from 4 photos" in said
    assert "s a step" in said
    assert "what a shared batch saves was not measured" in said
    assert "Disk: " in said
    assert not (tmp_path / "m-taught").exists()


def test_one_run_at_a_time_writes_into_a_folder(
    tmp_path: Path, tiny_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from perfusion_core.studio.jobs.worker import owner_lock

    make_photos(tmp_path, ("ada",))
    manifest = write_lines(tmp_path / "m.jsonl", ("ada",))
    with owner_lock(tmp_path / "m-taught"):
        assert main(["teach-all", str(manifest), "--base", str(tiny_folder)]) == 2
    assert "Another run is writing" in capsys.readouterr().err
    assert [path.name for path in (tmp_path / "m-taught").iterdir()] == ["studio.lock"]


@pytest.mark.parametrize("check", [[], ["--check"]])
def test_beside_the_running_app_or_another_teaching_it_is_refused_in_words_unless_a_cluster_does_it(
    tmp_path: Path,
    check: list[str],
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from perfusion_core.studio.jobs.worker import owner_lock

    make_photos(tmp_path, ("ada",))
    command = ["teach-all", str(write_lines(tmp_path / "m.jsonl", ("ada",))), *check]
    begun: list[str] = []

    def began(_settings: object, options: argparse.Namespace) -> None:
        begun.append(options.ray)
        raise PerfusionError("began")

    monkeypatch.setattr(fanout_run if not check else fanout_verbs, "workforce", began)
    with owner_lock(tmp_path / "home"):
        assert main(command) == 2
        said = capsys.readouterr().err
        assert f"already at work in {tmp_path / 'home'}" in said
        assert "PERFUSION_HOME" in said
        assert not (tmp_path / "m-taught").exists()
        assert main([*command, "--out", str(tmp_path / "home")]) == 2
        assert begun == []
        assert main([*command, "--ray", "auto"]) == 2
    assert main(command) == 2  # and goes on as soon as the other has ended
    assert main([*command, "--out", str(tmp_path / "home")]) == 2
    assert capsys.readouterr().err.splitlines()[-1] == "error: began"
    assert begun == ["auto", None, None]
