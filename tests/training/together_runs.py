"""Runs in one batch, and the same runs alone to compare them with."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

import torch

from perfusion_core.training.events import TrainEvent
from perfusion_core.training.task import TrainingTask
from perfusion_core.training.together import Outcome, train_together
from perfusion_core.training.trainer import train

# How far from the concept taught alone each part may end, as a share of the way it has come from its start.
# Larger batches add their numbers in another order; measured here: 1e-6.
TOLERANCE = 1e-4


_ALONE: dict[str, list[TrainEvent]] = {}


def alone(setup: Any, task: TrainingTask) -> list[TrainEvent]:
    """The events of the same run without others; computed once, since runs repeat bit for bit."""
    told = repr([task.name, task.superclass, task.recipe, [photo.sha for photo in task.photos]])
    if told not in _ALONE:
        _ALONE[told] = taught_alone(setup, task)
    return _ALONE[told]


def taught_alone(setup: Any, task: TrainingTask) -> list[TrainEvent]:
    options = {field.name: getattr(task, field.name) for field in fields(task)}
    given = [options.pop(name) for name in ("photos", "masks", "name", "superclass", "recipe")]
    options["run_dir"] = task.run_dir.with_name(f"{task.run_dir.name}-alone")
    return list(train(setup.base, *given, covariance=setup.statistics, **options))


def together(
    setup: Any, tasks: list[TrainingTask], count: int = 4
) -> tuple[dict[int, Outcome], dict[int, list[TrainEvent]]]:
    heard: dict[int, list[TrainEvent]] = {number: [] for number in range(len(tasks))}
    found = train_together(
        setup.base,
        tasks,
        covariance=setup.statistics,
        together=count,
        listen=lambda number, event: heard[number].append(event),
    )
    return dict(found), heard


def assert_as_alone(events: list[TrainEvent], outcome: Outcome) -> None:
    start = next(event.concept for event in events if event.kind == "checkpoint")
    expected, found = events[-1].concept, outcome.concept
    assert start is not None
    assert expected is not None
    assert found is not None
    for each in [*expected.values, "embedding", "target_input"]:
        first, wanted, got = (
            getattr(concept, each) if hasattr(concept, each) else concept.values[each]
            for concept in (start, expected, found)
        )
        way = (wanted - first).norm()
        assert way > 0
        assert (got - wanted).norm() <= TOLERANCE * way
    for path, key in (expected.keys or {}).items():
        assert found.keys is not None
        assert torch.allclose(found.keys[path], key, rtol=TOLERANCE, atol=TOLERANCE)
