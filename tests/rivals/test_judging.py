"""The judges: what each tells of an image, and that a missing one is said."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from benchmarks.rivals.judging import ClipJudge, ThingJudge, load_judge
from benchmarks.rivals.prompts import PROMPTS
from benchmarks.rivals.scoring import score
from benchmarks.rivals.subject import Subject
from perfusion_core.errors import PerfusionError
from tests.rivals.conftest import ColourScorer
from tools.pocket.judge import HAT_NAMES, Judge, save_judge
from tools.pocket.sprites import SOURCES
from tools.pocket.things import NUMBER, PLACES, STYLES


@pytest.fixture
def thing_judge() -> ThingJudge:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return ThingJudge(Judge(), "untrained")


def test_clip_sees_each_half_by_itself() -> None:
    judge = ClipJudge(ColourScorer())
    red, blue = ((200, 0, 0), (0, 0, 200))
    image = Image.new("RGB", (64, 64), red)
    image.paste(blue, (32, 0, 64, 64))
    sides = judge.halves([image, image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)])
    assert sides.shape == (2, 2, 12)
    torch.testing.assert_close(sides[0, 0], sides[1, 1])
    torch.testing.assert_close(sides[0, 1], sides[1, 0])
    assert float(sides[0, 0] @ sides[0, 1]) < 0.9


def test_the_embedder_tells_things_places_hats_and_styles(
    thing_judge: ThingJudge, subjects: list[Subject]
) -> None:
    images = [Image.fromarray(np.random.default_rng(0).integers(0, 255, (96, 96, 3), dtype=np.uint8))] * 3
    features = thing_judge.features(images)
    assert features.shape == (3, 192)
    torch.testing.assert_close(features.norm(dim=1), torch.ones(3))
    assert thing_judge.halves(images).shape == (3, 2, 192)
    said = thing_judge.said(images)[0]
    assert said["hat"] in HAT_NAMES
    assert said["place"] in PLACES
    assert said["style"] in STYLES
    known = replace(subjects[0], source=(SOURCES["cartoon"].name, "1f429"))
    gallery = thing_judge.gallery([known])
    assert gallery.own == {known.name: NUMBER["cartoon", "1f429"]}
    assert len(gallery.features) == len(NUMBER) + 1
    assert len(thing_judge.gallery([known, subjects[1]]).features) == 2  # one it does not know: photos then


def test_what_the_prompts_ask_for_is_what_the_embedder_can_say() -> None:
    known = {"place": set(PLACES), "hat": set(HAT_NAMES), "style": set(STYLES)}
    for prompt in PROMPTS:
        for what, asked in prompt.asks.items():
            assert asked in known[what], prompt.text


def test_scores_are_by_seed_and_ask_identity_only_where_colours_stay(subjects: list[Subject]) -> None:
    scorer = ColourScorer()
    judge, subject = ClipJudge(scorer), subjects[0]
    prompts = (PROMPTS[0], PROMPTS[2])  # the beach, a sketch
    others = [subjects[1].held_out[0], subject.held_out[0]]
    images = [subject.held_out[0], subject.held_out[1], *others]
    found = score(images, subject, prompts, 2, judge, scorer, judge.gallery(subjects))
    assert found.by_seed["identity"] == [1.0, 1.0]  # the wrong thing of the sketch is not counted
    features = judge.features(subject.held_out)
    by_hand = float((features[0] @ features.T).mean() + (judge.features(others[:1]) @ features.T).mean()) / 2
    assert found.by_seed["image"][0] == pytest.approx(by_hand, abs=1e-6)
    assert np.isnan(found.mean("place"))


def test_a_judge_that_is_not_there_is_said(tmp_path: Path) -> None:
    assert load_judge(None, ColourScorer()).name == "colours"
    with pytest.raises(PerfusionError, match="leave --judge out"):
        load_judge(tmp_path, ColourScorer())
    save_judge(Judge(), tmp_path)
    found = load_judge(tmp_path, ColourScorer())
    assert found.independent
    assert found.name.startswith("pocket judge ")
