"""The frame of the stages: a run cut off goes on as if it had not been, and weights can be handed on."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from tools.pocket import parts
from tools.pocket.optimiser import Pair
from tools.pocket.training import Course, Pace, learning_rate, step_rng


def _course(work: Path, name: str = "line") -> Course:
    torch.manual_seed(0)
    network = nn.Sequential(nn.Linear(4, 8), nn.Linear(8, 1))
    return Course(work, name, "line", network, Pair(network, 1e-2, muon=True))


def _run(course: Course, total: int) -> None:
    for step in course.steps(Pace(total, None, 1e-2, 0.5), 6, lambda: "well"):
        inputs = torch.from_numpy(step_rng(0, 99, step).standard_normal((6, 4))).float()
        loss = (course.network(inputs) - inputs.sum(1, keepdim=True)).square().mean()
        course.learn(loss, learning_rate(step, 1e-2, 2, 6, 0.5))


def _weights(course: Course) -> Tensor:
    return torch.cat([weight.detach().flatten() for weight in course.network.parameters()])


def test_a_course_cut_off_and_begun_again_ends_where_an_uninterrupted_one_does(tmp_path: Path) -> None:
    whole = _course(tmp_path / "whole")
    _run(whole, 6)
    _run(_course(tmp_path / "cut"), 3)
    again = _course(tmp_path / "cut")
    again.begin()
    assert again.step == 3
    _run(again, 6)
    assert torch.equal(_weights(whole), _weights(again))


def test_a_finished_course_draws_no_more_batches(tmp_path: Path) -> None:
    _run(_course(tmp_path), 2)
    again = _course(tmp_path)
    again.begin()
    assert list(again.steps(Pace(2, None, 1e-2, 0.5), 6, lambda: "well")) == []


def test_a_course_starts_from_another_ones_weights_with_its_steps_counted_afresh(tmp_path: Path) -> None:
    first = _course(tmp_path)
    _run(first, 3)
    later = _course(tmp_path, "later")
    later.begin("line")
    assert later.step == 0
    assert torch.equal(_weights(first), _weights(later))


def test_an_unknown_start_is_named(tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match="no checkpoint nowhere"):
        _course(tmp_path).begin("nowhere")


def test_the_log_says_how_it_fares(tmp_path: Path) -> None:
    _run(_course(tmp_path), 2)
    assert "done at 2: well" in (tmp_path / "logs" / "line.log").read_text(encoding="utf-8")


def test_a_run_by_the_clock_ends_with_it_and_its_rate_has_fallen_by_then(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = [0.0]
    monkeypatch.setattr("time.monotonic", lambda: clock[0])
    course, rates = _course(tmp_path), []
    pace = Pace(1, 1.0, peak=0.1, cooldown=0.5, warmup=1)
    for _ in course.steps(pace, 6, lambda: "well"):
        rates.append(pace.rate(course.step))
        course.learn(sum(weight.sum() for weight in course.network.parameters()), rates[-1])  # type: ignore[arg-type]
        clock[0] += 10.0
    assert rates == pytest.approx([0.1, 0.1, 0.1, 0.1, 0.2 / 3, 0.1 / 3])


def test_a_course_with_a_folder_writes_its_weights_there_at_every_checkpoint(tmp_path: Path) -> None:
    course = _course(tmp_path)
    course.out = tmp_path / "out"
    _run(course, 2)
    found = parts.read(tmp_path / "out", "line")
    assert found is not None
    weights, step, _ = found
    assert step == 2
    for name, value in course.network.state_dict().items():
        torch.testing.assert_close(weights[name], value, rtol=1e-3, atol=1e-4)
