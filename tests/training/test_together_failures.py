"""Several concepts in one batch: whatever goes wrong with one is its own failure."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from perfusion_core.errors import TrainingError
from perfusion_core.training import step as step_module
from perfusion_core.training import trainer as trainer_module
from perfusion_core.training.events import Stopped, TrainEvent
from perfusion_core.training.task import TrainingTask
from perfusion_core.training.together import Outcome, train_together
from tests.training.together_runs import alone, assert_as_alone, together


def hurt_photos(task: TrainingTask) -> TrainingTask:
    return replace(task, masks=[])


def hurt_numbers(task: TrainingTask) -> TrainingTask:
    return replace(task, masks=[np.full((64, 64), np.inf, dtype=np.float32), *task.masks[1:]])


def hurt_score(task: TrainingTask) -> TrainingTask:
    def score(concept: Any, step: int) -> Any:
        raise ValueError("the scorer is broken")

    return replace(task, score=score)


def hurt_name(task: TrainingTask) -> TrainingTask:
    return replace(task, name="../x")


@pytest.mark.parametrize(
    ("hurt", "said"),
    [
        (hurt_photos, "3 photos and 0 masks"),
        (hurt_numbers, "step 1: .*no longer finite"),
        (hurt_score, "the scorer is broken"),
        (hurt_name, "x"),
    ],
)
def test_a_concept_that_fails_takes_no_other_with_it(
    setup: Any, tasks: list[TrainingTask], hurt: Callable[[TrainingTask], TrainingTask], said: str
) -> None:
    outcomes, _ = together(setup, [tasks[0], hurt(tasks[2]), tasks[1]])
    assert outcomes[1].concept is None
    with pytest.raises(Exception, match=said):
        raise outcomes[1].error or AssertionError("it did not fail")
    assert_as_alone(alone(setup, tasks[0]), outcomes[0])
    assert_as_alone(alone(setup, tasks[1]), outcomes[2])


def test_numbers_that_are_not_finite_stay_in_their_own_gradients(
    setup: Any, tasks: list[TrainingTask]
) -> None:
    """NaN in one concept's values, mid-way: a product with a closed gate's zero would spread it."""
    step_of = step_module.take_step

    def spoil(optimizer: Any, scaler: Any, learned: Any, *others: Any) -> None:
        if learned.name == "mug" and not spoiled:
            spoiled.append(1)
            next(iter(learned.values.values())).grad.fill_(float("nan"))
        step_of(optimizer, scaler, learned, *others)

    spoiled: list[int] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(trainer_module, "take_step", spoil)
        outcomes, _ = together(setup, tasks[:3])
    assert spoiled
    assert isinstance(outcomes[1].error, TrainingError)
    assert_as_alone(alone(setup, tasks[0]), outcomes[0])
    assert_as_alone(alone(setup, tasks[2]), outcomes[2])


def test_where_memory_runs_out_fewer_share_a_pass_and_the_result_is_the_same(
    setup: Any, tasks: list[TrainingTask], monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes: list[int] = []
    forward = setup.base.unet.forward

    def small(sample: torch.Tensor, *args: Any, **kwargs: Any) -> Any:
        sizes.append(len(sample))
        if len(sample) > 9:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")
        return forward(sample, *args, **kwargs)

    monkeypatch.setattr(setup.base.unet, "forward", small)
    outcomes, _ = together(setup, tasks)
    assert sizes.count(14) == 1  # it is tried once, not at every step
    monkeypatch.undo()
    for number, task in enumerate(tasks):
        assert_as_alone(alone(setup, task), outcomes[number])


def test_an_error_of_one_concept_s_pass_is_found_to_be_its_own(
    setup: Any, tasks: list[TrainingTask], monkeypatch: pytest.MonkeyPatch
) -> None:
    forward = setup.base.unet.forward

    def broken(sample: torch.Tensor, *args: Any, **kwargs: Any) -> Any:
        if len(sample) in (5, 12):  # the fourth run's rows, alone or with the two others
            raise RuntimeError("a kernel is broken")
        return forward(sample, *args, **kwargs)

    monkeypatch.setattr(setup.base.unet, "forward", broken)
    outcomes, _ = together(setup, [tasks[0], tasks[1], tasks[3]])
    monkeypatch.undo()
    assert isinstance(outcomes[2].error, RuntimeError)
    assert_as_alone(alone(setup, tasks[0]), outcomes[0])
    assert_as_alone(alone(setup, tasks[1]), outcomes[1])


def test_memory_that_does_not_suffice_for_one_is_that_one_s_failure(
    setup: Any, tasks: list[TrainingTask], monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*args: Any, **kwargs: Any) -> Any:
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")

    monkeypatch.setattr(setup.base.unet, "forward", full)
    outcomes, _ = together(setup, tasks[:2])
    assert [type(outcome.error) for outcome in outcomes.values()] == [TrainingError] * 2
    assert "batch_size from 4 to 2" in str(outcomes[0].error)


def test_the_base_is_as_it_was_at_every_event_and_afterwards(setup: Any, tasks: list[TrainingTask]) -> None:
    before = repr(setup.base.unet)
    said: list[str] = []
    list(
        train_together(
            setup.base,
            tasks[:2],
            covariance=setup.statistics,
            together=2,
            listen=lambda number, event: said.append(repr(setup.base.unet)),
        )
    )
    assert set(said) == {before}
    assert repr(setup.base.unet) == before
    assert torch.is_grad_enabled()


def test_an_error_of_the_listener_ends_all_and_what_is_kept_is_resumed(
    setup: Any, tasks: list[TrainingTask]
) -> None:
    def listen(number: int, event: TrainEvent) -> None:
        if (number, event.kind, event.step) == (1, "step", 5):
            raise KeyboardInterrupt

    running = train_together(setup.base, tasks[:2], covariance=setup.statistics, together=2, listen=listen)
    with pytest.raises(KeyboardInterrupt):
        list(running)
    outcomes, heard = together(setup, [replace(task, resume=True) for task in tasks[:2]])
    assert [events[0].step for events in heard.values()] == [3, 3]
    assert_as_alone(alone(setup, tasks[1]), outcomes[1])


def test_a_judge_that_is_asked_to_stop_stops_its_own_run(setup: Any, tasks: list[TrainingTask]) -> None:
    def stops(concept: Any, step: int) -> Any:
        raise Stopped

    outcomes, _ = together(setup, [replace(tasks[0], preview=stops), tasks[1]])
    assert outcomes[0] == Outcome()
    assert outcomes[1].concept is not None


def test_no_concepts_and_no_room_for_any(setup: Any, tasks: list[TrainingTask]) -> None:
    assert together(setup, []) == ({}, {})
    with pytest.raises(TrainingError, match="together is 0"):
        together(setup, tasks, 0)
    assert not Path(tasks[0].run_dir).exists()
