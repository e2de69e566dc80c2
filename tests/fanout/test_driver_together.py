"""The driver with batches: several tasks for a worker at a time, each with its own end."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from perfusion_core.errors import PerfusionError
from perfusion_core.fanout.driver import Driver, first_ready
from perfusion_core.fanout.results_folder import ResultsFolder
from perfusion_core.fanout.tasks import Died, Failed, Kept, Message, Planned, Progress, Task
from tests.fanout.fake_pool import FakePool, finished, run
from tests.fanout.small_work import SmallSetup


def test_a_worker_is_given_several_tasks_and_new_ones_when_they_have_ended(tmp_path: Path) -> None:
    pool = FakePool(lambda task, _: [Progress(task.label, {"step": 1}), finished(task.label)])
    outcome, events = run(tmp_path, pool, "abcdef", workers=1, together=4)
    assert pool.batches == [list("abcd"), list("ef")]
    assert outcome.done == list("abcdef")
    for label in "abcdef":
        assert [event["event"] for event in events if event.get("label") == label] == [
            "started",
            "progress",
            "done",
        ]


def test_every_worker_has_its_share_before_one_has_a_full_batch(tmp_path: Path) -> None:
    pool = FakePool(lambda task, _: [finished(task.label)])
    run(tmp_path, pool, "abcdef", workers=3, together=4)
    assert max(map(len, pool.batches)) == 2


def test_only_tasks_of_one_form_share_a_batch(tmp_path: Path) -> None:
    pool = FakePool(lambda task, _: [finished(task.label)])
    outcome, _ = run(tmp_path, pool, "aBcDe", workers=1, together=4)  # their form: small or capital
    assert pool.batches == [["a", "c", "e"], ["B", "D"]]
    assert sorted(outcome.done) == sorted("aBcDe")


def test_one_of_a_batch_that_fails_takes_no_other_with_it(tmp_path: Path) -> None:
    def script(task: Task, _before: int) -> Sequence[Message]:
        return [Failed("b", "no photo")] if task.label == "b" else [finished(task.label)]

    pool = FakePool(script)
    outcome, _ = run(tmp_path, pool, "abc", workers=1, together=3)
    assert (outcome.done, outcome.failed) == (["a", "c"], {"b": "no photo"})
    assert len(pool.batches) == 1


def test_all_of_a_dead_workers_tasks_go_on_from_their_checkpoints_each_alone(tmp_path: Path) -> None:
    def script(task: Task, before: int) -> Sequence[Message]:
        if before == 0:
            kept = Kept(task.label, {"checkpoint": task.label.encode()})
            return [kept, Died("9")] if task.label == "c" else [kept]
        return [finished(task.label)]

    pool = FakePool(script)
    outcome, _ = run(tmp_path, pool, "abc", workers=1, together=3)
    assert pool.batches == [["a", "b", "c"], ["a"], ["b"], ["c"]]
    assert [kept for _, _, kept in pool.handed[3:]] == [{"checkpoint": b} for b in (b"a", b"b", b"c")]
    assert (outcome.done, outcome.failed) == (["a", "b", "c"], {})


def test_a_task_that_kills_its_workers_is_given_up_and_those_of_its_batch_are_not(tmp_path: Path) -> None:
    def script(task: Task, _before: int) -> Sequence[Message]:
        return [Died("killed by signal 9")] if task.label == "b" else [finished(task.label)]

    pool = FakePool(script)
    outcome, _ = run(tmp_path, pool, "bcd", workers=1, together=3)
    assert sorted(outcome.done) == ["c", "d"]
    assert "ended 3 times" in outcome.failed["b"]


def test_a_failure_that_nobody_foresaw_is_laid_to_a_task_only_when_it_is_alone(tmp_path: Path) -> None:
    """A card in error fails whatever shares it: "a" only shares it, "b" is at fault, "c" goes on."""

    def script(task: Task, before: int) -> Sequence[Message]:
        if task.label == "b" or (task.label, before) == ("a", 0):
            return [Failed(task.label, "a bug", "Traceback …")]
        return [Kept("c", {"checkpoint": b"1"})] if before == 0 else [finished(task.label)]

    pool = FakePool(script)
    outcome, events = run(tmp_path, pool, "cab", workers=1, together=3)
    assert sorted(outcome.done) == ["a", "c"]
    assert outcome.failed == {"b": "a bug"}
    assert [label for _, label, kept in pool.handed if kept] == ["c"]
    assert [event["label"] for event in events if event["event"] == "alone"] == ["a", "b"]


def test_a_batch_whose_photos_are_gone_leaves_the_worker_to_others(tmp_path: Path) -> None:
    def gone() -> None:
        raise PerfusionError("photo.jpg was not found.")

    pool, events = FakePool(lambda task, _: [finished(task.label)]), []
    first_ready(pool, SmallSetup(), events.append)
    driver = Driver(pool, ResultsFolder(tmp_path), events.append, workers=[0], started=1, together=2)
    planned = [Planned(label, "k", gone if label in "abc" else lambda: None) for label in "abcd"]
    outcome = driver.run(planned)
    assert (outcome.done, sorted(outcome.failed)) == (["d"], ["a", "b", "c"])
    assert pool.batches == [["d"]]
