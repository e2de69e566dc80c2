"""The driver's own decisions, with workers that follow a script."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from perfusion_core.errors import PerfusionError
from perfusion_core.fanout.driver import MOST_DEATHS, Driver, first_ready
from perfusion_core.fanout.results_folder import ResultsFolder
from perfusion_core.fanout.tasks import (
    Died,
    Failed,
    Kept,
    Message,
    Planned,
    Progress,
    Ready,
    Refused,
    Result,
    Task,
)
from tests.fanout.fake_pool import FakePool, finished, run
from tests.fanout.small_work import SmallSetup


def test_all_tasks_are_done_by_all_workers(tmp_path: Path) -> None:
    pool = FakePool(lambda task, _: [Progress(task.label, {"step": 1}), finished(task.label)])
    outcome, events = run(tmp_path, pool, "abcdef")
    assert sorted(outcome.done) == list("abcdef")
    assert outcome.failed == {}
    assert {worker for worker, _, _ in pool.handed} == {0, 1}
    assert (tmp_path / "out/concepts/a.txt").read_bytes() == b"a"
    assert [event["event"] for event in events if event.get("label") == "a"] == [
        "started",
        "progress",
        "done",
    ]


def test_a_failed_task_is_reported_and_the_others_go_on(tmp_path: Path) -> None:
    def script(task: Task, _before: int) -> Sequence[Message]:
        return [Failed("b", "no photo")] if task.label == "b" else [finished(task.label)]

    outcome, _ = run(tmp_path, FakePool(script), "abc")
    assert sorted(outcome.done) == ["a", "c"]
    assert outcome.failed == {"b": "no photo"}


def test_a_task_whose_photos_cannot_be_read_any_more_fails_alone(tmp_path: Path) -> None:
    def gone() -> None:
        raise PerfusionError("photo.jpg was not found.")

    pool, events = FakePool(lambda task, _: [finished(task.label)]), []
    first_ready(pool, SmallSetup(), events.append)
    driver = Driver(pool, ResultsFolder(tmp_path), events.append, workers=[0], started=1)
    outcome = driver.run([Planned("a", "k", gone), Planned("b", "k", lambda: None)])
    assert outcome.done == ["b"]
    assert outcome.failed == {"a": "photo.jpg was not found."}


def test_a_dead_workers_task_goes_on_from_its_checkpoint_in_a_new_one(tmp_path: Path) -> None:
    def script(task: Task, before: int) -> Sequence[Message]:
        if task.label == "a" and before == 0:
            return [
                Kept("a", {"recipe": b"r", "checkpoint": b"1"}),
                Kept("a", {"checkpoint": b"2"}),
                Died("9"),
            ]
        return [finished(task.label)]

    pool = FakePool(script)
    outcome, events = run(tmp_path, pool, "ab", workers=1)
    assert sorted(outcome.done) == ["a", "b"]
    assert pool.started == [0, 0]
    assert [kept for _, label, kept in pool.handed if label == "a"] == [
        {},
        {"recipe": b"r", "checkpoint": b"2"},
    ]
    assert not (tmp_path / "out/unfinished/a").exists()
    assert "worker died" in [event["event"] for event in events]


def test_a_task_that_kills_every_worker_is_given_up_and_the_workers_are_not(tmp_path: Path) -> None:
    def script(task: Task, _before: int) -> Sequence[Message]:
        return [Died("killed by signal 9")] if task.label in "ab" else [finished(task.label)]

    pool = FakePool(script)
    outcome, _ = run(tmp_path, pool, "abc", workers=1)
    assert outcome.done == ["c"]
    assert set(outcome.failed) == {"a", "b"}
    assert "signal 9" in outcome.failed["a"]
    assert [label for _, label, _ in pool.handed] == ["a"] * MOST_DEATHS + ["b"] * MOST_DEATHS + ["c"]


def test_a_checkpoint_that_does_not_go_on_is_dropped_and_the_task_starts_again(tmp_path: Path) -> None:
    ResultsFolder(tmp_path / "out").keep("a", "key of a", {"checkpoint": b"of another version"})

    def script(task: Task, _before: int) -> Sequence[Message]:
        return [Failed("a", "The checkpoint is damaged.")] if task.kept else [finished(task.label)]

    outcome, events = run(tmp_path, FakePool(script), "a", workers=1)
    assert outcome.done == ["a"]
    assert [e["event"] for e in events if e.get("label") == "a"] == ["started", "again", "started", "done"]


def test_a_failure_that_nobody_foresaw_gets_a_new_worker(tmp_path: Path) -> None:
    def script(task: Task, _before: int) -> Sequence[Message]:
        return [Failed("a", "a bug", "Traceback …")] if task.label == "a" else [finished(task.label)]

    pool = FakePool(script)
    outcome, _ = run(tmp_path, pool, "ab", workers=1)
    assert (outcome.done, set(outcome.failed)) == (["b"], {"a"})
    assert pool.started == [0, 0]


def test_the_last_words_of_a_dead_worker_are_not_taken_for_another_task(tmp_path: Path) -> None:
    def script(task: Task, _before: int) -> Sequence[Message]:
        stale = Failed("z", "of before")
        return [stale, Progress("z", {}), finished(task.label)]

    outcome, _ = run(tmp_path, FakePool(script), "a", workers=1)
    assert (outcome.done, outcome.failed) == (["a"], {})


def test_a_worker_that_cannot_start_is_left_out_and_the_others_do_its_work(tmp_path: Path) -> None:
    pool = FakePool(lambda task, _: [finished(task.label)], [Ready({}), Refused("not the same base")])
    outcome, _ = run(tmp_path, pool, "abc")
    assert sorted(outcome.done) == list("abc")
    assert pool.retired == [1]


def test_when_no_worker_is_left_that_is_said_and_what_is_done_is_kept(tmp_path: Path) -> None:
    def script(task: Task, _before: int) -> Sequence[Message]:
        pool.starts.extend([Died("node lost")] * MOST_DEATHS)
        return [finished("a")] if task.label == "a" else [Died("node lost")]

    pool = FakePool(script)
    with pytest.raises(PerfusionError, match=r"No worker is left \(node lost\)"):
        run(tmp_path, pool, "ab", workers=1)
    assert ResultsFolder(tmp_path / "out").done("a", "key of a") == {"name": "a"}


def test_a_first_worker_that_refuses_ends_the_run_with_its_reason() -> None:
    pool = FakePool(lambda task, _: [], [Died("9"), Refused("There is no base model at x.")])
    with pytest.raises(PerfusionError, match="no base model at x"):
        first_ready(pool, SmallSetup(), lambda event: None)


def test_stopping_leaves_the_rest_undone(tmp_path: Path) -> None:
    asked = iter([False, False, True])
    pool = FakePool(lambda task, _: [finished(task.label)])
    outcome, _ = run(tmp_path, pool, "abc", workers=1, should_stop=lambda: next(asked))
    assert outcome.stopped
    assert len(outcome.done) < 3


def test_a_result_counts_only_with_its_key_and_its_whole_files(tmp_path: Path) -> None:
    results = ResultsFolder(tmp_path)
    results.finish("a", "k", Result({"concepts/a.txt": b"content"}, {"name": "a"}))
    assert results.done("a", "k") == {"name": "a"}
    assert results.done("a", "another") is None
    (tmp_path / "concepts/a.txt").write_bytes(b"cut")
    assert results.done("a", "k") is None
    (tmp_path / "done/a.json").write_text("[")
    assert results.done("a", "k") is None


@pytest.mark.parametrize(
    "place", ["../x", "/etc/x", "concepts/../../x", "log.jsonl", "images\\..\\x", "c:x", ""]
)
def test_a_worker_cannot_write_outside_the_places_for_results(tmp_path: Path, place: str) -> None:
    with pytest.raises(PerfusionError, match="no place for results"):
        ResultsFolder(tmp_path / "out").finish("a", "k", Result({place: b""}, {}))
    assert not (tmp_path / "x").exists()


def test_a_checkpoint_of_another_key_is_replaced_whole(tmp_path: Path) -> None:
    results = ResultsFolder(tmp_path)
    results.keep("a", "old", {"masks/1.png": b"m", "checkpoint.pt": b"c"})
    assert results.kept("a", "new") == {}
    results.keep("a", "new", {"checkpoint.pt": b"n"})
    assert results.kept("a", "new") == {"checkpoint.pt": b"n"}
