"""The command from photos to a report: cut off and resumed, and what the report says."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from benchmarks.rivals.__main__ import compare
from benchmarks.rivals.bench import Bench
from benchmarks.rivals.cache import Cache
from benchmarks.rivals.losses import losses
from benchmarks.rivals.methods import gated_edit
from benchmarks.rivals.methods.method import Costs
from benchmarks.rivals.methods.registry import all_methods
from benchmarks.rivals.options import Options
from benchmarks.rivals.report import report
from benchmarks.rivals.results import MethodResult, PairResult, Regime, Results
from benchmarks.rivals.runner import Drawing, Runner, Teaching
from benchmarks.rivals.subject import Subject
from benchmarks.rivals.tuning import candidates, tune, within
from perfusion_core.errors import PerfusionError
from perfusion_core.studio.bases import LoadedBase, Missing

SMALL = Options(
    methods=("ours-local", "ours-compact", "lora-r4", "custom-diffusion-joint"),
    parts=("budget", "one-shot", "bleed"),
    seeds=1,
    prompts=2,
    points=2,
    steps=1,
    budget=0.6,
    rates=1,
    pairs=1,
    resamples=20,
)


def test_a_result_is_made_once_and_a_cut_leaves_nothing_behind(tmp_path: Path) -> None:
    cache, calls = Cache(tmp_path), list[int]()

    def make(folder: Path) -> None:
        calls.append(1)
        (folder / "half").write_text("x")
        if len(calls) == 1:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        cache.folder("thing", {"b": 1, "a": 2}, make)
    assert not (tmp_path / "thing" / cache.key("thing", {"a": 2, "b": 1})).exists()
    folder = cache.folder("thing", {"a": 2, "b": 1}, make)
    assert cache.folder("thing", {"b": 1, "a": 2}, make) == folder
    assert len(calls) == 2
    assert json.loads((folder / "facts.json").read_text()) == {"a": 2, "b": 1}
    assert cache.key("thing", {"a": 2, "b": 2}) != cache.key("thing", {"a": 2, "b": 1})


def test_the_command_writes_its_report_and_a_second_call_makes_nothing(
    loaded: LoadedBase, subjects: list[Subject], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gated_edit, "CHECKS", 1)
    options, said = replace(SMALL, out=tmp_path / "results"), list[str]()
    path = compare(loaded, subjects, options, command="it", say=said.append)
    text = path.read_text(encoding="utf-8")
    assert text.index("## Where ours loses") < text.index("## The same seconds for every teaching")
    for expected in (
        "Ours, local lock",
        "Ours, compact file",
        "LoRA of the attention, rank 4",
        "hypervolume",
    ):
        assert expected in text
    assert "amber, blue-cup, which are left out" in text
    assert "favour" in text  # the scorer is the one that chose
    assert "no such pair" in text  # of the same kind: one of the two dogs is for development
    for picture in ("figures/fronts-budget-light.svg", "figures/fronts-budget-dark.svg"):
        assert (options.out / picture).read_text().startswith("<svg")
    sheet = Image.open(options.out / "sheets" / "budget-coral.png")
    assert sheet.height > sheet.width / 4
    first = json.loads((options.out / "results.json").read_text())
    assert first["regimes"][0]["concepts"] == ["coral", "denim"]
    assert [regime["name"] for regime in first["regimes"]] == ["budget", "one-shot"]
    joint = [pair for pair in first["pairs"] if pair["name"] == "custom-diffusion-joint"]
    assert [pair["pairs"] for pair in joint] == [["coral and denim"]]
    assert {pair["kind"] for pair in first["pairs"]} == {
        "two of different kinds",
        "one beside the plain word of its kind",
    }
    taught = [line for line in said if line.startswith("teaching")]
    # The pace, and each of two concepts with two photos and with one: the compact file is the same teaching.
    assert len([line for line in taught if "gated-edit" in line]) == 5

    again = list[str]()
    compare(loaded, subjects, options, command="it", say=again.append)
    assert not [line for line in again if line.startswith(("teaching", "drawing"))]
    assert json.loads((options.out / "results.json").read_text()) == first


def test_weights_that_were_let_go_are_learned_again_when_needed(
    bench: Bench, subjects: list[Subject]
) -> None:
    runner, method = Runner(bench, say=lambda line: None), all_methods()["lora-r4"]
    teaching = Teaching(method, (subjects[0],), {**method.settings(bench), "steps": 2}, 0)
    before = runner.taught(teaching).tensors()
    runner.let_go(teaching)
    after = runner.taught(teaching).tensors()
    assert before.keys() == after.keys()
    assert all((before[name] == after[name]).all() for name in before)


def test_a_teaching_that_fails_is_kept_as_a_failure(
    bench: Bench, subjects: list[Subject], monkeypatch: pytest.MonkeyPatch
) -> None:
    runner, method = Runner(bench, say=lambda line: None), all_methods()["lora-r4"]

    def fails(*_: Any) -> Costs:
        raise PerfusionError("The word did not settle.")

    monkeypatch.setattr(type(method), "teach", fails)
    teaching = Teaching(method, (subjects[0],), method.settings(bench), 0)
    assert runner.taught(teaching).failed == "The word did not settle."
    assert runner.images(Drawing([teaching], method, method.points(1)[0], ["a {}"], 1))[0] == []


def test_settings_other_photos_and_other_seeds_are_other_teachings(
    bench: Bench, subjects: list[Subject]
) -> None:
    runner, methods = Runner(bench), all_methods()
    plain = Teaching(methods["lora-r4"], (subjects[0],), {"steps": 2, "rate": 1e-3}, 0)
    others = [
        replace(plain, seed=1),
        replace(plain, settings={"steps": 3, "rate": 1e-3}),
        replace(plain, subjects=(subjects[0].with_one_photo(),)),
        replace(plain, method=methods["lora-r16"]),
    ]
    keys = {bench.cache.key("taught", runner.facts(one)) for one in [plain, *others]}
    assert len(keys) == 5
    shared = [replace(plain, method=methods[name]) for name in ("ours-local", "ours-global", "ours-compact")]
    assert len({bench.cache.key("taught", runner.facts(one)) for one in shared}) == 1


def test_the_better_candidate_is_chosen_and_the_others_weights_go(
    bench: Bench, subjects: list[Subject]
) -> None:
    said = list[str]()
    runner, method = Runner(bench, say=said.append), all_methods()["lora-r4"]
    own = method.settings(bench)
    tried = candidates(method, own, replace(SMALL, rates=2, lengths=(0.004,)), None, Costs(0.0, 1.0))
    assert [(one["steps"], one["rate"]) for one in tried] == [(2, own["rate"]), (2, 4 * own["rate"])]
    found = tune(runner, method, subjects[:1], tried, points=1)
    worth = [value for _, value in found.tried]
    assert len(worth) == 2
    assert found.settings in tried
    if worth[0] != worth[1]:
        assert found.settings == tried[worth.index(max(worth))]
    for settings in tried:
        key = bench.cache.key("taught", runner.facts(Teaching(method, (subjects[0],), settings, 0)))
        kept = list((bench.cache.root / "taught" / key).glob("snapshot-*"))
        assert bool(kept) == (settings == found.settings)
    count = len(said)
    assert tune(runner, method, subjects[:1], tried, points=1) == found
    assert len(said) == count, "tuning once more teaches and draws nothing"


def test_steps_and_class_images_fit_into_the_budget() -> None:
    costs = Costs(fixed=2.0, step=0.5)
    assert within(12.0, costs, {"steps": 999})["steps"] == 20
    assert within(1.0, costs, {"steps": 999})["steps"] == 1
    with_prior = Costs(fixed=2.0 + 4 * 0.1, step=0.5, image=0.1)
    found = within(12.0, with_prior, {"steps": 999, "prior": 1.0, "class_images": 200})
    assert found["class_images"] == 40  # a third of the budget
    assert found["steps"] == 12  # what is left of it after 2 and 4 seconds


def test_without_a_scorer_nothing_is_begun(
    loaded: LoadedBase, subjects: list[Subject], tmp_path: Path
) -> None:
    loaded.__dict__["scorer"] = Missing("There is none here.")
    with pytest.raises(PerfusionError, match="There is none here"):
        compare(loaded, subjects, replace(SMALL, out=tmp_path), command="it")


def made_up(name: str, ours: bool, image: float, text: float, **changes: Any) -> MethodResult:
    shape = (2, 3, 2)
    scores = {m: np.full(shape, np.nan) for m in ("identity", "place", "hat", "style", "diversity")}
    scores["image"] = np.full(shape, image) + np.array([0.0, 0.1])[:, None, None]
    scores["text"] = np.full(shape, text) - np.array([0.0, 0.1])[:, None, None]
    facts = {"size": 1000, "teach_seconds": 5.0, "draw_seconds": 1.0} | changes
    return MethodResult(
        name, name.title(), ours, "knob", "its paper", {"rate": 0.1}, ["a", "b"], scores, **facts
    )


def results_of(*methods: MethodResult, pairs: list[PairResult] | None = None) -> Results:
    plain = dict.fromkeys(("image", "text", "identity", "place", "hat", "style", "diversity"), 0.5)
    regime = Regime("budget", "The same seconds", ["a", "b", "c"], (0.2, 0.1), plain, list(methods))
    return Results(
        "base", "CPU", "it", "judge", True, "things", {"steps": 1, "guidance": 3.0}, ["p"], 2, ["d"],
        {"learned": 3, "held out": 2}, 5.0, 50, 0, [regime], pairs or [],
    )  # fmt: skip


def test_every_loss_is_named_and_the_sure_ones_first() -> None:
    rival = made_up("rival", False, 0.6, 0.3, size=10, teach_seconds=9.0)
    found = losses(results_of(made_up("ours-local", True, 0.4, 0.3), rival), "ours-local")
    assert [(loss.what, loss.sure) for loss in found] == [
        ("hypervolume", True),
        ("image similarity at the knee", True),
        ("bytes", True),
    ]
    better = made_up("ours-local", True, 0.7, 0.4, size=5, teach_seconds=1.0)
    text = report(results_of(better, rival))
    assert "In no figure below is a rival better" in text


def test_a_run_without_ours_claims_nothing_of_it() -> None:
    text = report(results_of(made_up("rival", False, 0.6, 0.3)))
    assert "is a rival better" not in text
    assert "ours-local was not among the methods of this run" in text


def test_bleed_stands_in_the_report_and_among_the_losses() -> None:
    kind = "two of the same kind"
    pairs = [
        PairResult(kind, name, name.title(), ours, ["a and b"], np.full((1, 2), bled), np.full((1, 2), 0.1))
        for name, ours, bled in (("ours-local", True, 0.5), ("rival", False, 0.25))
    ]
    results = results_of(
        made_up("ours-local", True, 0.7, 0.4), made_up("rival", False, 0.6, 0.3), pairs=pairs
    )
    found = [loss for loss in losses(results, "ours-local") if loss.what == "bleed"]
    assert [(loss.rival, loss.ours[:5], loss.theirs[:5]) for loss in found] == [("Rival", "0.500", "0.250")]
    text = report(results)
    assert text.index("| Rival | 0.250") < text.index("| Ours-Local | 0.500")  # the best first
    assert "**Two of different kinds**: no such pair" in text
