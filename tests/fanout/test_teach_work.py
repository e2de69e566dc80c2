"""A teaching worker that is given several concepts at a time."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from perfusion_core.concept import Concept, concept_from_bytes
from perfusion_core.fanout import teach_work
from perfusion_core.fanout.loaded_base import BaseSetup
from perfusion_core.fanout.manifest import read_manifest
from perfusion_core.fanout.tasks import Kept, Message, Progress, Result, Task
from perfusion_core.fanout.teach_all import Item
from perfusion_core.fanout.teach_work import TeachWork
from tests.fanout.concepts import make_hostile, make_photos, write_lines
from tests.quick_recipe import QUICK

NAMES = ("ada", "bea", "cleo")


@pytest.fixture
def loaded(tmp_path: Path, tiny_folder: Path) -> Any:
    cache = tmp_path / "cache"
    return BaseSetup(str(tiny_folder), tmp_path / "models", device="cpu", threads=1, cache=cache).load()


@pytest.fixture(autouse=True)
def _no_front(monkeypatch: pytest.MonkeyPatch) -> None:
    """It takes most of a quick teaching's time, and shares nothing; `test_teach_all.py` has it."""
    monkeypatch.setattr(teach_work, "draw_front", front_of)


def front_of(concept: Concept, *_others: Any) -> Any:
    if concept.name == "dora":
        raise ZeroDivisionError("a bug")
    return SimpleNamespace(images=[], points=[])


@pytest.fixture
def tasks(tmp_path: Path) -> list[Task]:
    """Three concepts; the photo of the second is cut off."""
    make_photos(tmp_path, NAMES)
    make_hostile(tmp_path / "bea")
    lines = read_manifest(write_lines(tmp_path / "m.jsonl", NAMES)).lines
    return [Task(line.name, Item(line.name, line).payload()) for line in lines]


def concept_of(ends: dict[str, Result | Exception], name: str) -> Concept:
    found = ends[name]
    assert isinstance(found, Result), found
    return concept_from_bytes(found.files[f"concepts/{name}.safetensors"], name)


def sent(messages: Sequence[Message], label: str) -> dict[str, int]:
    """How many messages of each kind a task sent."""
    own = [one for one in messages if isinstance(one, (Kept, Progress)) and one.label == label]
    return {kind.__name__: sum(isinstance(one, kind) for one in own) for kind in (Kept, Progress)}


def test_concepts_of_one_batch_end_as_those_taught_alone_and_a_bad_one_ends_alone(
    loaded: Any, tasks: list[Task], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    passes: list[int] = []
    handle = loaded.base.unet.register_forward_hook(
        lambda _m, given, _out: passes.append(len(given[0])) if torch.is_grad_enabled() else None
    )
    said: list[Message] = []
    shared = dict(TeachWork(loaded).do(tasks, said.append))
    handle.remove()
    assert passes == [2 * QUICK["batch_size"]] * QUICK["steps"]
    assert list(shared) == ["bea", "ada", "cleo"]
    assert "cannot be read to its end" in str(shared["bea"])
    for task in (tasks[0], tasks[2]):
        alone_said: list[Message] = []
        alone = dict(TeachWork(loaded).do([task], alone_said.append))
        wanted, found = concept_of(alone, task.label), concept_of(shared, task.label)
        assert torch.allclose(found.embedding, wanted.embedding, rtol=1e-4, atol=1e-5)
        for path, value in wanted.values.items():
            assert torch.allclose(found.values[path], value, rtol=1e-4, atol=1e-4)
        assert found.metadata.recipe == wanted.metadata.recipe
        assert found.metadata.scores == pytest.approx(wanted.metadata.scores, rel=0.02)
        one, both = alone[task.label], shared[task.label]
        assert isinstance(one, Result)
        assert isinstance(both, Result)
        assert set(both.files) == set(one.files)
        assert set(both.facts) == set(one.facts)
        assert sent(said, task.label)["Kept"] == sent(alone_said, task.label)["Kept"] == 3
    assert list(tmp_path.glob("perfusion-*")) == []


def test_one_of_a_batch_goes_on_from_its_own_checkpoint(loaded: Any, tasks: list[Task]) -> None:
    said: list[Message] = []
    whole = dict(TeachWork(loaded).do([tasks[0]], said.append))
    kept: dict[str, bytes] = {}
    for message in [one for one in said if isinstance(one, Kept)][:2]:  # at steps 0 and 2
        kept.update(message.files)
    said.clear()
    resumed = Task("ada", tasks[0].payload, kept)
    ends = dict(TeachWork(loaded).do([resumed, tasks[2]], said.append))
    assert sent(said, "ada")["Kept"] == 1
    assert sent(said, "cleo")["Kept"] == 3
    wanted, found = concept_of(whole, "ada"), concept_of(ends, "ada")
    for path, value in wanted.values.items():
        assert torch.allclose(found.values[path], value, rtol=1e-4, atol=1e-4)


def test_a_front_that_cannot_be_drawn_ends_its_own_concept_alone(loaded: Any, tasks: list[Task]) -> None:
    doomed = Task("dora", replace(tasks[0].payload, name="dora"))
    ends = dict(TeachWork(loaded).do([doomed, tasks[2]], lambda message: None))
    assert isinstance(ends["dora"], ZeroDivisionError)
    assert concept_of(ends, "cleo").name == "cleo"
