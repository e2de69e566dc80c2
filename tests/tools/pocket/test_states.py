"""Codes, token positions, and states that keys and values read apart."""

from __future__ import annotations

import torch
from transformers import CLIPTokenizer

from tools.pocket import codes
from tools.pocket.judge import ALONE, LEFT, NOTHING, NUMBER, RIGHT, UNKNOWN, Judge, labels
from tools.pocket.render import Renderer
from tools.pocket.scene import Caption, Scene, Thing
from tools.pocket.text import Encoder, build_text
from tools.pocket.things import kinds
from tools.pocket.train_text import SHADES, TextCourse, code_of, loss_of, make_lesson


def test_codes_are_linear_in_the_look_and_of_unit_size() -> None:
    generator = torch.Generator().manual_seed(0)
    looks = torch.rand(300, 4, 32, 32, generator=generator)
    coder = codes.fit(looks)
    found = coder(looks)
    assert found.shape == (300, codes.WIDTH)
    assert abs(float(found.square().mean()) - 1) < 0.05
    torch.testing.assert_close(
        coder((looks[:1] + looks[1:2]) / 2), (found[:1] + found[1:2]) / 2, rtol=0, atol=1e-3
    )


def test_the_table_has_a_code_for_every_kind_an_art_style_has(renderer: Renderer) -> None:
    things = [Thing(n, ("photo", kinds()[n].code)) for n in range(200)]
    coder = codes.fit(codes.small(renderer.looks(things)))
    table = codes.table(renderer, coder)
    assert table.shape == (len(kinds()), 3, len(SHADES), codes.WIDTH)
    for art in range(3):
        known = ~table[:, art, 0, 0].isnan()
        assert (
            tuple(torch.nonzero(known).flatten().tolist())
            == renderer.world.drawable[("photo", "cartoon", "sticker")[art]]
        )


def test_noun_positions_are_those_of_the_whole_prompt(tokenizer: CLIPTokenizer) -> None:
    words = ["a", "photo", "of", "a", "red", "teapot", "next", "to", "a", "zebra"]  # zebra: several tokens
    ids, nouns = Encoder(tokenizer)([Caption(tuple(words), (5, 9))])
    whole = tokenizer(" ".join(words)).input_ids
    assert ids[0, : len(whole)].tolist() == whole
    assert nouns[0].tolist() == [6, len(whole) - 2]


def test_a_lesson_asks_for_codes_at_nouns_alone(tokenizer: CLIPTokenizer) -> None:
    table = torch.arange(float(len(kinds()) * 3 * len(SHADES) * codes.WIDTH)).view(
        len(kinds()), 3, -1, codes.WIDTH
    )
    scene = Scene((Thing(2, ("sticker", ""), "red"), Thing(5, ("sticker", ""))), "beach", style="sticker")
    told = Caption(("a", "dog", "next", "to", "cat", "on", "the", "beach"), (1, 4))
    encode = Encoder(tokenizer)
    lesson = make_lesson([scene], [told], encode, table)
    nouns = encode([told])[1][0]
    assert torch.equal(lesson.code[0, nouns[0]], code_of(table, scene.things[0]))
    assert torch.equal(lesson.code[0, nouns[0]], table[2, 2, 1])
    assert torch.equal(lesson.code[0, nouns[1]], table[5, 2, 0])
    others = [i for i in range(lesson.code.shape[1]) if i not in nouns.tolist()]
    assert lesson.code[0, others].abs().max() == 0
    course = TextCourse(build_text(tokenizer), len(tokenizer))
    assert loss_of(course, lesson).isfinite()


def test_labels_say_what_stands_where() -> None:
    one = Scene((Thing(0, ("photo", "1f9f8"), hat="crown"),), "beach")
    two = Scene(
        (Thing(0, ("cartoon", "1f415")), Thing(1, ("cartoon", "1f408"), "blue")), "snow", style="cartoon"
    )
    right = labels([one, two])
    assert right.things[0].tolist() == [NUMBER["photo", "1f9f8"], UNKNOWN, UNKNOWN]
    assert right.things[1, LEFT] == NUMBER["cartoon", "1f415"]
    assert right.things[1, RIGHT] == NUMBER["cartoon", "1f408"]
    assert right.slots["hat"][0, ALONE] == 2
    assert right.slots["colour"][1].tolist() == [UNKNOWN, UNKNOWN, 4]


def test_the_judge_answers_for_every_slot() -> None:
    answer = Judge((8, 8, 16), cell=4)(torch.rand(2, 3, 128, 128))
    assert answer.similarity.shape == (2, 3, NOTHING + 1)
    assert answer.similarity.abs().max() <= 1.0001
