"""The same on a local Ray that listens on the loopback address alone; skipped where Ray is not installed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import psutil
import pytest

from perfusion_core.cli.main import main
from perfusion_core.concept import load_concept
from perfusion_core.fanout.driver import Driver, first_ready
from perfusion_core.fanout.ray_pool import RayPool
from perfusion_core.fanout.results_folder import ResultsFolder
from perfusion_core.fanout.tasks import Planned
from tests.fanout.concepts import (
    NAMES,
    log_of,
    make_hostile,
    make_photos,
    same,
    taught_alone,
    wait_for,
    write_lines,
)
from tests.fanout.small_work import SmallSetup

ROOT = Path(__file__).parents[2]

# Not imported here: what Ray listens on is decided when it is imported, and that is for the program to do.
pytestmark = pytest.mark.skipif(not find_spec("ray"), reason="Ray is an extra: requirements-ray.txt")


@pytest.fixture(autouse=True)
def _home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("PERFUSION_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    yield
    if ray := sys.modules.get("ray"):
        ray.shutdown()


def actors() -> list[psutil.Process]:
    """The processes of the actors of this process's own Ray."""
    found = list[psutil.Process]()
    for child in psutil.Process().children(recursive=True):
        with suppress(psutil.Error):  # it ended meanwhile
            if "ray::Actor" in " ".join(child.cmdline()):
                found.append(child)
    return found


def test_actors_do_tasks_die_and_are_replaced(tmp_path: Path) -> None:
    pool = RayPool("local", threads=1, cpu_only=True, cores=2)
    try:
        assert pool.most_workers() == 2
        events: list[dict[str, Any]] = []
        facts = first_ready(pool, SmallSetup(), events.append)
        assert facts is not None
        assert facts["pid"] != os.getpid()
        outside = [
            connection.laddr.ip
            for process in psutil.Process().children(recursive=True)
            for connection in process.net_connections("tcp")
            if connection.status == psutil.CONN_LISTEN and "127.0.0.1" not in connection.laddr.ip
        ]
        assert outside == []
        pool.grow(SmallSetup(), 1)
        todo: dict[str, list[Any]] = {
            "plain": [0.1],
            "resumed": ["keep", 1.0, "die at first"],
            "refused": ["refuse"],
            "broken": ["break"],
            "last": [],
        }
        planned = [Planned(label, label, lambda what=what: what) for label, what in todo.items()]
        results = ResultsFolder(tmp_path)
        outcome = Driver(pool, results, events.append, workers=[0], started=2).run(planned)
    finally:
        pool.close()
    assert sorted(outcome.done) == ["last", "plain", "resumed"]
    assert "ZeroDivisionError" in outcome.failed["broken"]
    assert "cannot be done" in outcome.failed["refused"]
    done = results.done("resumed", "resumed")
    assert done is not None
    assert done["kept"] == {"checkpoint": "after 0"}


def test_six_concepts_one_hostile_an_actor_and_the_driver_killed(tmp_path: Path, tiny_folder: Path) -> None:
    make_photos(tmp_path)
    make_hostile(tmp_path / "bea")
    long = {"steps": 150, "checkpoint_every": 30}
    manifest = write_lines(tmp_path / "m.jsonl")
    last = write_lines(tmp_path / "last.jsonl", NAMES[-1:], **long, seed=5).read_text("utf-8")
    manifest.write_text("\n".join([*manifest.read_text("utf-8").split("\n")[:-1], last]), "utf-8")
    out = tmp_path / "out"
    command = ["teach-all", str(manifest), "--ray", "local", "--workers", "1", "--threads", "1"]
    command += ["--base", str(tiny_folder), "--device", "cpu", "--out", str(out)]

    def count(event: str, label: str, after: int = 0) -> int:
        return sum(e["event"] == event and e.get("label") == label for e in log_of(out)[after:])

    driver = subprocess.Popen([sys.executable, "app.py", *command], cwd=ROOT, stderr=subprocess.DEVNULL)
    try:
        wait_for(lambda: count("checkpoint", "fay") >= 2, driver)
    finally:
        driver.send_signal(signal.SIGKILL)
        driver.wait()
    before = len(log_of(out))

    def kill_the_actor() -> None:
        wait_for(lambda: count("started", "fay", before) >= 1)
        for actor in actors():
            actor.kill()

    killer = threading.Thread(target=kill_the_actor)
    killer.start()
    assert main(command) == 1  # the hostile one stays undone
    killer.join()
    after = log_of(out)[before:]
    begun = next(event for event in after if event["event"] == "begun")
    assert (begun["total"], begun["done"]) == (6, 4)
    assert any(event["event"] == "worker died" for event in after)
    assert [e["resumed"] for e in after if e["event"] == "started" and e["label"] == "fay"] == [True, True]
    assert [e["label"] for e in after if e["event"] == "failed"] == ["bea"]
    assert "cannot be read to its end" in (out / "report.html").read_text("utf-8")
    for number, name in ((0, "ada"), (5, "fay")):
        settings = {"seed": number, **(long if name == "fay" else {})}
        alone = taught_alone(tiny_folder, tmp_path, name, tmp_path / f"alone-{name}", **settings)
        assert same(load_concept(out / f"concepts/{name}.safetensors"), alone), name


def test_without_a_cluster_or_without_ray_that_is_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    make_photos(tmp_path, ("ada",))
    command = ["teach-all", str(write_lines(tmp_path / "m.jsonl", ("ada",))), "--ray"]
    assert main([*command, "127.0.0.1:1025"]) == 2
    assert "There is no Ray cluster at '127.0.0.1:1025'" in capsys.readouterr().err
    monkeypatch.setitem(sys.modules, "ray", None)
    assert main([*command, "auto"]) == 2
    assert "pip install 'perfusion-studio[ray]'" in capsys.readouterr().err
