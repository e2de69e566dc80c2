"""What a front or a grid looks like, and what a click on it means."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from perfusion_core.studio.jobs.store import Job, JobStore
from perfusion_core.ui.explore.board import board, picked
from perfusion_core.ui.explore.scatter import Dot, Mark, scatter
from perfusion_core.ui.served import Served

REQUEST = {"prompt": "a <mug> on the beach", "seed": 7, "lock": "local"}


def front(tmp_path: Path, **result: Any) -> Job:
    paths = []
    for k in range(4):
        paths.append(tmp_path / f"{k}.png")
        paths[-1].write_bytes(b"picture")
    asked = {"request": REQUEST, "name": "mug"}
    job = JobStore(tmp_path / "jobs").new("front", "Front", asked)
    found = {"paths": [str(path) for path in paths], "biases": [0.9, 0.5], "seeds": [7, 8], **result}
    return job.changed(result=found)


def point(bias: float, image: float, text: float) -> dict[str, float]:
    return {"bias": bias, "image": image, "text": text}


def test_a_front_of_two_seeds_has_two_rows_and_each_image_its_own_seed_and_bias(tmp_path: Path) -> None:
    job = front(tmp_path)
    shown = board(job, Served(tmp_path / "served"))
    assert re.findall(r"Seed \d", shown) == ["Seed 7", "Seed 8"]
    assert re.findall(r'class="shot" data-pick="(\d)"', shown) == ["0", "1", "2", "3"]
    found = [picked(job, k) for k in range(4)]
    assert [(seed, biases["mug"]) for _, seed, _, biases in found] == [(7, 0.9), (7, 0.5), (8, 0.9), (8, 0.5)]
    with pytest.raises(IndexError):
        picked(job, 4)
    with pytest.raises(IndexError):
        picked(job, -1)


def test_the_drawing_joins_the_means_and_shows_seeds_and_references_apart(tmp_path: Path) -> None:
    means = [point(0.9, 0.3, 0.6), point(0.5, 0.5, 0.4)]
    plain = tmp_path / "superclass.png"
    plain.write_bytes(b"plain")
    references = [
        {"kind": "superclass", "image": 0.1, "text": 0.7, "paths": [str(plain)]},
        {"kind": "photos", "image": 0.8, "text": 0.2, "paths": []},
    ]
    shots = [*means, *means]
    job = front(tmp_path, points=means, knee=means[1], shots=shots, references=references, scorer="CLIP")
    shown = board(job, Served(tmp_path / "served"))
    assert shown.count("dot-faint") == 4
    assert len(re.findall(r'<polyline points="[^ ]+ [^ ]+"', shown)) == 1
    assert ">superclass prompt</text>" in shown
    assert ">the photos</text>" in shown
    assert shown.count("dot-marked") == 1
    assert "mean of 2 seeds" in shown


def test_a_front_drawn_before_there_were_seeds_is_still_shown(tmp_path: Path) -> None:
    job = front(tmp_path, points=[point(0.9, 0.3, 0.6), point(0.5, 0.5, 0.4)])
    old = {key: job.result[key] for key in ("points", "biases")}
    job = job.changed(result={**old, "paths": job.result["paths"][:2]})
    assert board(job, Served(tmp_path / "served")).count("data-pick") == 4  # two points, two images
    assert picked(job, 1)[1:] == (7, "local", {"mug": 0.5})


def test_names_that_would_cover_each_other_are_left_out() -> None:
    close = [Dot(0, 0.9, 0.500, 0.3), Dot(1, 0.5, 0.501, 0.3001), Dot(2, 0.4, 0.9, 0.9)]
    drawn = scatter(close, marked=1, marks=[Mark("the photos", 0.0, 0.0)])
    assert ">0.50</text><title" in drawn
    assert ">0.90</text><title" not in drawn
    assert ">0.40</text><title" in drawn
