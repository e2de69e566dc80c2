"""Stopping, killing, resuming and failing: nothing that was kept is lost, and the result is the same."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch

from perfusion_core.concept import load_concept
from perfusion_core.errors import TrainingError
from perfusion_core.training import trainer as trainer_module
from perfusion_core.training.events import Stopped


def same(first: Any, second: Any) -> bool:
    tensors = zip(
        [first.embedding, first.target_input, *first.values.values()],
        [second.embedding, second.target_input, *second.values.values()],
        strict=True,
    )
    return all(torch.equal(a, b) for a, b in tensors)


def by_step(fixed_scores: Callable[..., Any]) -> Callable[[Any, int], Any]:
    """Scores that depend on what was learned, so that a wrong resume would show."""
    return lambda concept, step: fixed_scores(0.5 + float(concept.embedding.sum().tanh()) / 10, 0.5)


@pytest.mark.parametrize("last_step", [0, 2, 3, 5])
def test_a_stopped_run_resumes_to_the_same_result(
    setup: Any, fixed_scores: Callable[..., Any], last_step: int
) -> None:
    score = by_step(fixed_scores)
    whole = setup.run(score=score, run_dir=setup.folder / "whole")[-1]
    seen: list[int] = []
    stopped = setup.run(score=score, should_stop=lambda: seen.append(0) or len(seen) > last_step)
    assert stopped[-1].kind == "stopped"
    assert stopped[-1].step == last_step
    events = setup.run(score=score, resume=True)
    assert events[0].step == last_step
    assert len(events[0].history.losses) == last_step
    assert same(events[-1].concept, whole.concept)
    assert events[-1].best_step == whole.best_step
    assert events[-1].scores == whole.scores


@pytest.mark.parametrize("kill_at", [2, 4, 7, 11])
def test_a_killed_run_resumes_from_its_last_checkpoint_to_the_same_result(
    setup: Any, fixed_scores: Callable[..., Any], kill_at: int
) -> None:
    score = by_step(fixed_scores)
    whole = setup.run(score=score, run_dir=setup.folder / "whole")
    running = setup.events(score=score)
    for _ in range(kill_at):
        next(running)
    running.close()  # what was not written is gone, as after a kill
    torch.manual_seed(99)  # the world's own random numbers have moved on
    events = setup.run(score=score, resume=True)
    assert same(events[-1].concept, whole[-1].concept)
    assert [e.loss for e in events if e.kind == "step"] == [e.loss for e in whole if e.kind == "step"][
        events[0].step :
    ]


def test_a_run_killed_while_scoring_does_not_lose_its_steps(
    setup: Any, fixed_scores: Callable[..., Any]
) -> None:
    def interrupted(concept: Any, step: int) -> Any:
        if step == 3:
            raise KeyboardInterrupt
        return fixed_scores(0.5, 0.5)

    with pytest.raises(KeyboardInterrupt):
        setup.run(score=interrupted)
    events = setup.run(score=lambda concept, step: fixed_scores(0.5, 0.5), resume=True)
    assert events[0].step == 3
    assert [event.step for event in events if event.kind == "score"] == [3, 6]


@pytest.mark.parametrize("part", ["score", "preview"])
def test_a_run_stopped_while_it_is_judged_resumes_to_the_same_result(
    setup: Any, fixed_scores: Callable[..., Any], part: str
) -> None:
    def stops(concept: Any, step: int) -> Any:
        if step == 3:
            raise Stopped
        return fixed_scores(0.5, 0.5) if part == "score" else []

    judged: dict[str, Any] = {"score": by_step(fixed_scores), "preview": lambda concept, step: []}
    whole = setup.run(run_dir=setup.folder / "whole", **judged)[-1]
    stopped = setup.run(**{**judged, part: stops})[-1]
    assert (stopped.kind, stopped.step) == ("stopped", 3)
    events = setup.run(**judged, resume=True)
    assert [event.step for event in events if event.kind == "score"] == [3, 6]
    assert same(events[-1].concept, whole.concept)


def test_history_is_there_to_redraw(setup: Any, fixed_scores: Callable[..., Any]) -> None:
    events = setup.run(
        score=lambda concept, step: fixed_scores(0.5, 0.4), should_stop=iter([0] * 4 + [1]).__next__
    )
    again = setup.run(score=lambda concept, step: fixed_scores(0.5, 0.4), resume=True)[0].history
    assert again.losses == [event.loss for event in events if event.kind == "step"]
    assert [(scored.step, scored.text) for scored in again.scores] == [(0, 0.4), (3, 0.4)]


def test_a_finished_run_resumes_to_its_end_at_once(setup: Any, fixed_scores: Callable[..., Any]) -> None:
    calls: list[int] = []
    score = lambda concept, step: calls.append(step) or fixed_scores(0.5, 0.5)  # noqa: E731
    done = setup.run(score=score)[-1]
    events = setup.run(score=score, resume=True)
    assert [event.kind for event in events] == ["start", "done"]
    assert calls == [0, 3, 6]
    assert same(events[-1].concept, done.concept)


def test_resuming_where_nothing_was_begins(setup: Any) -> None:
    assert setup.run(resume=True)[-1].kind == "done"


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda setup: setattr(setup, "recipe", setup.recipe.changed(seed=5)), "settings"),
        (lambda setup: setup.photos.reverse(), "photos"),
        (lambda setup: setup.masks.__setitem__(0, setup.masks[0] * 0.5), "masks"),
        (lambda setup: setattr(setup.statistics, "fingerprint", "other"), "base model"),
    ],
)
def test_a_run_is_only_resumed_with_what_it_was_begun_with(
    setup: Any, change: Callable[[Any], None], said: str
) -> None:
    setup.run()
    change(setup)
    with pytest.raises(TrainingError, match=said):
        setup.run(resume=True)


@pytest.mark.parametrize("damage", [b"", b"PK\x03\x04 not a checkpoint", "half"])
def test_a_damaged_checkpoint_is_named(setup: Any, damage: bytes | str) -> None:
    setup.run()
    path = setup.folder / "checkpoint.pt"
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2] if isinstance(damage, str) else damage)
    with pytest.raises(TrainingError, match=r"“checkpoint\.pt” in “run” is damaged"):
        setup.run(resume=True)


def test_nan_stops_at_once_and_keeps_the_last_finite_checkpoint(
    setup: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    gather, calls = trainer_module.gather_gradients, []

    def spoiled(steps: Any) -> None:
        calls.append(1)
        gather(steps)
        if len(calls) == 5:
            steps[0].loss = float("nan")

    monkeypatch.setattr(trainer_module, "gather_gradients", spoiled)
    with pytest.raises(TrainingError, match=r"step 5: .*checkpoint of step 3 in “run” is kept.*value_rate"):
        setup.run()
    assert len(calls) == 5
    assert load_concept(setup.folder / "last.safetensors").name == "biscuit"


def test_infinite_targets_stop_even_when_the_loss_looks_fine(
    setup: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    gather = trainer_module.gather_gradients

    def spoiled(steps: Any) -> None:
        gather(steps)
        next(iter(steps[0].learned.values.values())).grad.fill_(float("inf"))

    monkeypatch.setattr(trainer_module, "gather_gradients", spoiled)
    with pytest.raises(TrainingError, match=r"step 1: .*no longer finite"):
        setup.run()


def test_a_folder_that_cannot_be_written_is_a_plain_error(
    setup: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    from perfusion_core.errors import PerfusionError

    setup.folder.mkdir(parents=True)
    (setup.folder / "checkpoint.pt").mkdir()
    with pytest.raises(PerfusionError, match="checkpoint"):
        setup.run()
