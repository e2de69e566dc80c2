"""The judge's labels and its verdicts."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from tools.pocket.domain import CLASSES, COLOURS, PLACES, STYLES
from tools.pocket.judge import (
    ALONE,
    HATS,
    KINDS,
    LEFT,
    RIGHT,
    SCENE_HEADS,
    SLOT_HEADS,
    UNKNOWN,
    Answer,
    Judge,
    Labels,
    labels,
    load_judge,
    save_judge,
)
from tools.pocket.scene import Scene, Thing
from tools.pocket.verdicts import decide

DOG = Thing("dog", CLASSES["dog"][0], "red", "crown")
CAT = Thing("cat", CLASSES["cat"][0])
ALONE_DOG = Scene((DOG,), "beach")
PAIR = Scene((DOG, CAT), "plain", "blue", style="pixel")


def perfect(right: Labels) -> Answer:
    """An answer that says exactly what the labels say, and the first choice where there is no label."""

    def logits(target: torch.Tensor, choices: int) -> torch.Tensor:
        return torch.nn.functional.one_hot(target.clamp(min=0), choices).float()

    return Answer(
        {name: logits(target, SLOT_HEADS[name]) for name, target in right.slots.items()},
        {name: logits(target, SCENE_HEADS[name]) for name, target in right.scene.items()},
        torch.zeros(1),
    )


def test_a_lone_thing_is_labelled_in_the_middle_and_a_pair_left_and_right() -> None:
    kinds = labels([ALONE_DOG, PAIR]).slots["kind"]
    assert kinds[0].tolist() == [KINDS.index("dog"), UNKNOWN, UNKNOWN]
    assert (kinds[1, LEFT], kinds[1, RIGHT]) == (KINDS.index("dog"), KINDS.index("cat"))
    assert kinds[1, ALONE] == UNKNOWN


def test_colour_is_not_asked_of_a_black_and_white_photo() -> None:
    grey = Scene((DOG,), "plain", "blue", style="grey")
    found = labels([grey])
    assert found.slots["colour"][0, ALONE] == UNKNOWN
    assert found.scene["backdrop"][0] == UNKNOWN
    assert found.slots["hat"][0, ALONE] == HATS.index("crown")


def test_right_answers_are_right_in_every_question() -> None:
    verdicts = decide(perfect(labels([ALONE_DOG, PAIR])), [ALONE_DOG, PAIR])
    for question, rows in verdicts.found.items():
        assert rows, question
        assert verdicts.share(question) == 1.0


def test_swapped_pair_counts_as_both_but_not_on_their_sides() -> None:
    swapped = Scene(PAIR.things[::-1], "plain", "blue", style="pixel")
    verdicts = decide(perfect(labels([swapped])), [PAIR])
    assert (verdicts.share("both"), verdicts.share("sides")) == (1.0, 0.0)


def test_two_things_are_not_both_there_when_the_judge_sees_one() -> None:
    answer = perfect(labels([PAIR]))
    answer.scene["count"] = torch.tensor([[1.0, 0.0]])
    assert decide(answer, [PAIR]).share("both") == 0.0


def test_an_unrecognisable_thing_is_not_the_right_object() -> None:
    answer = perfect(labels([ALONE_DOG]))
    answer.slots["kind"][0, ALONE] = torch.nn.functional.one_hot(
        torch.tensor(len(CLASSES)), len(KINDS)
    ).float()
    assert decide(answer, [ALONE_DOG]).share("object") == 0.0


@pytest.mark.parametrize(("head", "value"), [("place", "snow"), ("backdrop", "red")])
def test_wrong_place_or_backdrop_colour_is_a_wrong_background(head: str, value: str) -> None:
    scene = ALONE_DOG if head == "place" else PAIR
    names = list(PLACES) if head == "place" else list(COLOURS)
    answer = perfect(labels([scene]))
    answer.scene[head] = torch.nn.functional.one_hot(torch.tensor([names.index(value)]), len(names)).float()
    assert decide(answer, [scene]).share("background") == 0.0


def test_by_asked_lists_the_poorest_first() -> None:
    answer = perfect(labels([ALONE_DOG, Scene((CAT,), "snow")]))
    answer.slots["kind"][1, ALONE] = answer.slots["kind"][0, ALONE]
    rows = decide(answer, [ALONE_DOG, Scene((CAT,), "snow")]).by_asked("object")
    assert list(rows.items()) == [("cat", (0, 1)), ("dog", (1, 1))]


def test_saved_judge_answers_the_same(tmp_path: Path) -> None:
    torch.manual_seed(0)
    judge = Judge().eval()
    save_judge(judge, tmp_path, {"object": 1.0})
    again, images = load_judge(tmp_path), torch.rand(2, 3, 128, 128)
    with torch.no_grad():
        one, two = judge(images), again(images)
    assert torch.equal(one.slots["kind"], two.slots["kind"])
    assert one.slots["kind"].shape == (2, 3, len(KINDS))
    assert one.scene["style"].shape == (2, len(STYLES))


def test_missing_judge_says_what_to_run(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="train_classifier"):
        load_judge(tmp_path)
