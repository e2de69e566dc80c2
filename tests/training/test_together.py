"""Several concepts in one batch: each ends as if it had been taught alone."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from perfusion_core.training.task import TrainingTask
from perfusion_core.training.together import Outcome, train_together
from tests.training.together_runs import alone, assert_as_alone, together


@pytest.mark.parametrize("count", [1, 3, 4])
def test_each_concept_is_the_one_taught_alone(setup: Any, tasks: list[TrainingTask], count: int) -> None:
    outcomes, heard = together(setup, tasks, count)
    for number, task in enumerate(tasks):
        expected = alone(setup, task)
        assert_as_alone(expected, outcomes[number])
        assert [event.kind for event in heard[number]] == [event.kind for event in expected]
        losses = [event.loss for event in heard[number] if event.kind == "step"]
        assert losses == pytest.approx([event.loss for event in expected if event.kind == "step"], rel=1e-4)
        if count == 1:  # nothing is shared: bit for bit
            assert outcomes[number].concept.content_hash == expected[-1].concept.content_hash


def test_their_examples_go_through_the_denoiser_in_one_batch(setup: Any, tasks: list[TrainingTask]) -> None:
    rows: list[int] = []
    handle = setup.base.unet.register_forward_hook(lambda _m, given, _out: rows.append(len(given[0])))
    together(setup, tasks)
    handle.remove()
    assert rows[:2] == [4 + 3 + 2 + 5, 2]  # the third run's step has a second part
    assert len(rows) == 9 + 7  # the longest run's steps, and those second parts


def test_a_waiting_concept_takes_the_place_of_one_that_has_ended(
    setup: Any, tasks: list[TrainingTask]
) -> None:
    taken: list[int] = []

    def given() -> Any:
        for number, task in enumerate(tasks):
            taken.append(number)
            yield task

    ended: dict[int, list[int]] = {}
    for number, _ in train_together(setup.base, given(), covariance=setup.statistics, together=2):
        ended[number] = list(taken)
    assert ended[0] == [0, 1]
    assert sorted(ended) == [0, 1, 2, 3]


def test_other_sizes_and_precisions_take_turns(setup: Any, tasks: list[TrainingTask]) -> None:
    small = replace(tasks[1], recipe=tasks[1].recipe.changed(resolution=128))
    rough = replace(tasks[2], recipe=tasks[2].recipe.changed(precision="bfloat16"))
    mixed = [tasks[0], small, rough]
    outcomes, _ = together(setup, mixed)
    assert_as_alone(alone(setup, tasks[0]), outcomes[0])
    assert_as_alone(alone(setup, small), outcomes[1])
    same = alone(setup, rough)[-1].concept
    assert same is not None
    assert outcomes[2].concept.content_hash == same.content_hash  # it had no company


def test_stopped_and_resumed_in_other_company_the_result_is_the_same(
    setup: Any, tasks: list[TrainingTask]
) -> None:
    asked: list[int] = []
    stopping = replace(tasks[0], should_stop=lambda: asked.append(0) or len(asked) > 4)
    outcomes, heard = together(setup, [stopping, tasks[1]])
    assert outcomes[0] == Outcome()
    assert heard[0][-1].kind == "stopped"
    assert outcomes[1].concept is not None
    outcomes, heard = together(setup, [replace(tasks[0], resume=True), *tasks[2:]])
    assert heard[0][0].step == 4
    assert_as_alone(alone(setup, tasks[0]), outcomes[0])


def test_scores_are_each_concept_s_own(
    setup: Any, tasks: list[TrainingTask], fixed_scores: Callable[..., Any]
) -> None:
    scored = [
        replace(tasks[0], score=lambda concept, step: fixed_scores({3: 0.9}.get(step, 0.2), 0.5)),
        replace(tasks[1], score=lambda concept, step: fixed_scores({6: 0.9}.get(step, 0.2), 0.5)),
        tasks[2],
    ]
    _, heard = together(setup, scored)
    assert [events[-1].best_step for events in heard.values()] == [3, 6, 7]
