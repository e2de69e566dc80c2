"""The judge's answers become verdicts on what captions asked for, and those a table."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from tools.pocket.evaluate import unseen_prompts
from tools.pocket.figures import summary, table, write
from tools.pocket.judge import HAT_NAMES, NOTHING, SCENE_HEADS, UNKNOWN, Answer, Labels, labels
from tools.pocket.render import Renderer
from tools.pocket.scene import Scene, Thing
from tools.pocket.things import COLOURS, NUMBER, PLACES, kinds
from tools.pocket.verdicts import Verdicts, decide

KIND = {kind.name: number for number, kind in enumerate(kinds())}
SETTINGS = {"prompts": 2, "steps": 20, "guidance": 3.0, "threads": 2, "weights": "abc"}


def _thing(name: str, art: str = "photo", colour: str | None = None, hat: str | None = None) -> Thing:
    return Thing(KIND[name], (art, kinds()[KIND[name]].code), colour, hat)


ALONE_DOG = Scene((_thing("dog", colour="red", hat="crown"),), "beach")
PAIR = Scene((_thing("dog", "cartoon", "red"), _thing("cat", "cartoon")), "plain", "blue", style="cartoon")


def perfect(right: Labels) -> Answer:
    """An answer that says exactly what the labels say, and the first choice where there is no label."""

    def logits(target: torch.Tensor, choices: int) -> torch.Tensor:
        return torch.nn.functional.one_hot(target.clamp(min=0), choices).float()

    sizes = {"hat": len(HAT_NAMES), "colour": len(COLOURS)}
    return Answer(
        torch.zeros(len(right.things), 3, 192),
        logits(right.things, NOTHING + 1),
        {name: logits(target, sizes[name]) for name, target in right.slots.items()},
        {name: logits(target, SCENE_HEADS[name]) for name, target in right.scene.items()},
    )


def test_right_answers_are_right_in_every_question(renderer: Renderer) -> None:
    verdicts = decide(perfect(labels([ALONE_DOG, PAIR])), [ALONE_DOG, PAIR], renderer.world)
    for question, rows in verdicts.found.items():
        assert rows, question
        assert verdicts.share(question) == 1.0


def test_the_thing_in_another_art_style_is_still_that_thing(renderer: Renderer) -> None:
    answer = perfect(labels([ALONE_DOG]))
    answer.similarity[0, 0] = 0
    answer.similarity[0, 0, NUMBER["sticker", kinds()[KIND["dog"]].code]] = 1
    assert decide(answer, [ALONE_DOG], renderer.world).share("object") == 1.0


def test_swapped_pair_counts_as_both_but_not_on_their_sides(renderer: Renderer) -> None:
    swapped = Scene(PAIR.things[::-1], "plain", "blue", style="cartoon")
    verdicts = decide(perfect(labels([swapped])), [PAIR], renderer.world)
    assert (verdicts.share("both"), verdicts.share("sides")) == (1.0, 0.0)


def test_two_things_are_not_both_there_when_the_judge_sees_one(renderer: Renderer) -> None:
    answer = perfect(labels([PAIR]))
    answer.scene["count"] = torch.tensor([[1.0, 0.0]])
    assert decide(answer, [PAIR], renderer.world).share("both") == 0.0


def test_an_unrecognisable_thing_is_not_the_one_asked_for(renderer: Renderer) -> None:
    answer = perfect(labels([ALONE_DOG]))
    answer.similarity[0, 0, NOTHING] = 2
    assert decide(answer, [ALONE_DOG], renderer.world).share("object") == 0.0


@pytest.mark.parametrize(("head", "value"), [("place", "snow"), ("backdrop", "red")])
def test_wrong_place_or_backdrop_colour_is_a_wrong_place(renderer: Renderer, head: str, value: str) -> None:
    scene = ALONE_DOG if head == "place" else PAIR
    names = list(PLACES) if head == "place" else list(COLOURS)
    answer = perfect(labels([scene]))
    answer.scene[head] = torch.nn.functional.one_hot(torch.tensor([names.index(value)]), len(names)).float()
    assert decide(answer, [scene], renderer.world).share("place") == 0.0


def test_a_colour_is_not_asked_of_a_sketch(renderer: Renderer) -> None:
    sketch = Scene(ALONE_DOG.things, "beach", style="sketch")
    found = labels([sketch])
    assert found.slots["colour"][0, 0] == UNKNOWN
    assert decide(perfect(found), [sketch], renderer.world).found["colour"] == []


def test_first_prompts_do_not_depend_on_how_many_are_asked(renderer: Renderer) -> None:
    few, many = unseen_prompts(5, renderer.world), unseen_prompts(9, renderer.world)
    assert (many[0][:5], many[1][:5]) == few
    assert not any(thing.variation for scene in many[0] for thing in scene.things)


def _verdicts() -> Verdicts:
    made = Verdicts()
    made.add("object", "dog", True)
    made.add("object", "cat", False)
    return made


def test_table_shows_share_ceiling_and_bar_and_a_dash_where_nothing_was_asked() -> None:
    others = {"held_out_db": 30.84, "ranking": {"true > half": 0.97}}
    text = table(summary(_verdicts(), _verdicts(), others, SETTINGS))
    assert "| 2 | 50% | 50% | ≥ 90% |" in text
    assert "| 0 | – | – | ≥ 80% |" in text
    assert "| autoencoder, PSNR on held-out things | 30.8 dB | ≥ 30 dB |" in text
    assert "| scorer ranks true > half, share of pairs | 97% | ≥ 95 % |" in text
    assert "right caption" not in text


def test_written_figures_are_json_and_name_the_poorest(tmp_path: Path) -> None:
    write(summary(_verdicts(), _verdicts(), {}, SETTINGS), tmp_path)
    kept = json.loads((tmp_path / "figures.json").read_text())
    assert kept["questions"]["object"]["poorest"] == {"cat": "0/1"}
    assert kept["questions"]["style"]["share"] is None
    assert "- object: cat 0/1" in (tmp_path / "table.md").read_text()
    assert np.isnan(Verdicts().share("object"))
