"""What is said of taught things: by answers of a judge whose weights do not matter here."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
import torch

from perfusion_core.model.statistics import CovarianceStats
from perfusion_core.training.events import TrainEvent
from perfusion_core.training.recipe import VALIDATION_PROMPTS
from tools.pocket import evaluate_taught, evaluate_teaching
from tools.pocket.evaluate_taught import along, prompt_score, table, together
from tools.pocket.evaluate_teaching import (
    ALONE_PLAIN,
    PROMPTS,
    Checkpoint,
    Curve,
    concept_name,
    curves,
)
from tools.pocket.judge import HAT_NAMES, LEFT, RIGHT, SCENE_HEADS, Answer, Judge
from tools.pocket.things import PLACES


def _answer(n: int) -> Answer:
    return Answer(
        torch.zeros(n, 3, 192),
        torch.zeros(n, 3, 10),
        {"hat": torch.zeros(n, 3, len(HAT_NAMES)), "colour": torch.zeros(n, 3, 10)},
        {name: torch.zeros(n, size) for name, size in SCENE_HEADS.items()},
    )


def test_the_prompt_score_is_the_chance_of_what_was_asked_for() -> None:
    answer = _answer(2)
    assert prompt_score(answer, 0, {"place": "snow"}) == pytest.approx(1 / len(PLACES))
    answer.scene["place"][1, list(PLACES).index("desert")] = 30
    answer.slots["hat"][1, 0, HAT_NAMES.index("crown")] = 30
    assert prompt_score(answer, 1, {"place": "desert", "hat": "crown"}) == pytest.approx(1)
    assert prompt_score(answer, 1, {"place": "desert", "hat": "cap"}) == pytest.approx(0.5)


def test_seven_biases_are_drawn_and_scored_from_the_photos_end_to_the_prompts(
    tiny_base: Any, tiny_covariance: Any, make_concept: Any
) -> None:
    loaded = _loaded(tiny_base, tiny_covariance)
    judge = Judge((8, 8, 16), cell=4).eval()
    points = along(loaded, _sized(judge), (5, make_concept(tiny_base)), seeds=1, steps=1)
    assert len(points) == 7
    assert len({point.bias for point in points}) == 7
    assert all(-1 <= point.image <= 1 and 0 <= point.text <= 1 for point in points)


def test_two_things_count_where_each_is_nearest_in_its_own_place(
    tiny_base: Any, tiny_covariance: Any, make_concept: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def look(judge: Judge, images: list[Any]) -> Answer:
        answer = _answer(len(images))
        answer.similarity[:, LEFT, 4] = 1
        answer.similarity[: len(images) // 2, RIGHT, 7] = 1
        return answer

    monkeypatch.setattr(evaluate_taught, "look", look)
    loaded = _loaded(tiny_base, tiny_covariance)
    one, other = make_concept(tiny_base), make_concept(tiny_base, "teacup", "cat", seed=1)
    share, images = together(loaded, Judge((8, 8, 16), cell=4), (4, one), (7, other), seeds=1, steps=1)
    assert (share, len(images)) == (0.5, 2)


def test_the_table_gives_means_first() -> None:
    text = table({"cat-photo": (1.0, 0.8), "owl-photo": (0.8, 0.6)}, {"cat-photo + owl-photo": 0.5})
    assert "| slider and identity, Kendall over 7 biases | 0.90 |" in text
    assert "| two taught things, both recognised in place | 50% |" in text


def test_concepts_are_named_after_thing_and_art_style() -> None:
    assert concept_name("teddy bear", "cartoon") == "teddy-bear-cartoon"
    assert all("{}" in prompt for prompt, _ in PROMPTS)


def test_a_curve_is_what_the_judge_sees_at_every_checkpoint(monkeypatch: pytest.MonkeyPatch) -> None:
    def look(judge: Judge, images: list[Any]) -> Answer:
        assert len(images) == len(ALONE_PLAIN)
        answer = _answer(len(images))
        answer.similarity[:, 0] = torch.arange(10) / 100  # thing 9 is the nearest, 3 is not among five
        answer.similarity[: images[0], 0, 3] = 1
        return answer

    monkeypatch.setattr(evaluate_teaching, "look", look)
    curve = Curve(Judge((8, 8, 16), cell=4), 3)
    for step, right in ((0, 0), (30, 2), (60, 1)):
        curve(TrainEvent("preview", step, 60, images=(right,) * len(VALIDATION_PROMPTS)), ())  # type: ignore[arg-type]
    curve(TrainEvent("done", 60, 60, best_step=30), ())
    count = len(ALONE_PLAIN)
    assert [c.identity for c in curve.checkpoints] == pytest.approx([0, 2 / count, 1 / count])
    assert curve.checkpoints[0].likeness == pytest.approx(0.03)
    assert curve.chosen == 30


def test_the_table_of_curves_says_where_the_choice_is_the_judges() -> None:
    def result(chosen: int, *likeness: float) -> dict[str, Any]:
        curve = [vars(Checkpoint(30 * k, value, 1.0, value)) for k, value in enumerate(likeness)]
        return {"curve": curve, "chosen": chosen}

    lines = curves([result(30, 0.0, 0.6, 0.4), result(30, 0.0, 0.2, 0.8)])
    assert "| 30 | 40% | 100% | 0.40 | 2 |" in lines
    assert lines[-1].endswith("for 1 of 2.")


def _loaded(base: Any, inverse: torch.Tensor) -> Any:
    """What `along` and `together` need of a loaded base."""
    return SimpleNamespace(base=base, covariance=CovarianceStats(inverse, "tiny", 1.0))


def _sized(judge: Judge) -> Any:
    """The judge on images of any size."""

    def answer(images: torch.Tensor) -> Answer:
        return judge(torch.nn.functional.interpolate(images, size=128))

    return answer
