"""Several concepts in one batch: each ends as if it had been taught alone, and fails alone."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from perfusion_core.errors import TrainingError
from perfusion_core.training import step as step_module
from perfusion_core.training.events import Stopped, TrainEvent
from perfusion_core.training.task import TrainingTask
from perfusion_core.training.together import Outcome, train_together
from perfusion_core.training.trainer import train

# How far from the concept taught alone each part may end, as a share of the way it has come from its start.
# Larger batches add their numbers in another order; measured here: 1e-6.
TOLERANCE = 1e-4


def mask(count: int) -> list[Any]:
    return [np.ones((64, 64), dtype=np.float32)] * count


@pytest.fixture
def tasks(setup: Any, make_images: Callable[[int], list[Any]]) -> list[TrainingTask]:
    """Runs that differ in photos, steps, batches, rates, gates, keys and seeds; two have one name."""
    photos, folder, recipe = make_images(4), setup.folder, setup.recipe
    slow = recipe.changed(steps=9, batch_size=3, value_rate=0.01, embedding_rate=0.002, seed=2, clarity=0.0)
    keys = recipe.changed(steps=7, batch_size=2, accumulation=2, keys="trained", seed=3)
    gates = recipe.changed(batch_size=5, bias=0.4, removal="paper", offset_rate=0.05, seed=4)
    return [
        TrainingTask(photos[:2], mask(2), "biscuit", "dog", recipe.changed(seed=1), folder / "0"),
        TrainingTask(photos[2:3], mask(1), "mug", "cup", slow, folder / "1"),
        TrainingTask(photos[1:], mask(3), "biscuit", "cat", keys, folder / "2"),
        TrainingTask(photos, mask(4), "rex", "dog", gates, folder / "3"),
    ]


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
    from perfusion_core.training import trainer as trainer_module

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
