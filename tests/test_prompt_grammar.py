"""One grammar of prompts, for the screen that follows the typing and for the engine that makes the image."""

from __future__ import annotations

import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from perfusion_core.errors import PromptError
from perfusion_core.prompt_grammar import (
    Mention,
    Written,
    canonical,
    look_up,
    mentions,
    parse_prompt,
    plain_text,
    split,
    with_biases,
    without_numbers,
)
from perfusion_core.studio.creating.mentions import fixed, mentioned


def test_a_prompt_is_split_around_its_placeholders() -> None:
    pieces = parse_prompt("my <Biscuit:0.6>, and <mug>!").pieces
    expected = ("my ", Mention("Biscuit", 0.6, "<Biscuit:0.6>"), ", and ", Mention("mug", None, "<mug>"), "!")
    assert pieces == expected


def test_text_that_only_looks_like_a_placeholder_stays_text() -> None:
    for text in ("a < b, c > d <> 3<4", "<two words>", "<:0.6>", "a <b", "<" + "x" * 41 + ">"):
        assert parse_prompt(text).pieces == (text,)


def test_a_name_in_another_script_is_a_placeholder() -> None:
    assert [mention.name for mention in mentions("фото <печенье> и <犬_2>")] == ["печенье", "犬_2"]


@pytest.mark.parametrize("written", ["<biscuit:>", "<biscuit:much>", "<biscuit:nan>", "<biscuit:1e9>"])
def test_a_bias_that_is_no_sensible_number_is_refused(written: str) -> None:
    with pytest.raises(PromptError, match=r"<biscuit:0\.6>"):
        parse_prompt(f"a {written}")


def test_plain_text_has_the_superclass_in_the_placeholders_place() -> None:
    assert plain_text("a <Mug:0.5> by <x>", {"mug": "cup"}) == "a cup by <x>"


@pytest.mark.parametrize(
    "written", ["<biscuit:0.6>", "< biscuit :0.6>", "<biscuit : 0.6 >", "<BISCUIT:.60>", "<\tbiscuit:\n0.6>"]
)
def test_spaces_and_case_change_nothing(written: str) -> None:
    found = mentions(f"a {written} here")
    assert [(canonical(mention.name), mention.bias) for mention in found] == [("biscuit", 0.6)]
    assert mentioned(written, ["biscuit"]) == ["biscuit"]
    assert float(fixed(written, ["biscuit"])["biscuit"]) == 0.6


pieces = st.sampled_from(
    ["<", ">", ":", " ", "biscuit", "Mug", "0.6", "犬", "-", "\n", "<biscuit>", "<mug:0.4>"]
)
texts = st.lists(pieces, max_size=12).map("".join) | st.text(max_size=40)


@given(texts)
def test_screen_and_engine_see_the_same_mentions(text: str) -> None:
    written = [piece for piece in split(text) if isinstance(piece, Written)]
    assert "".join(p if isinstance(p, str) else p.source for p in split(text)) == text
    assert mentioned(text, ["biscuit", "mug"]) == list(
        dict.fromkeys(canonical(p.name) for p in written if canonical(p.name) in ("biscuit", "mug"))
    )
    try:
        parsed = parse_prompt(text)
    except PromptError:
        assert any(piece.number is not None for piece in written)  # only a number can be wrong
        return
    assert [(m.name, m.source) for m in parsed.mentions] == [(p.name, p.source) for p in written]
    assert [m.bias is None for m in parsed.mentions] == [p.number is None for p in written]


@given(texts)
def test_without_its_numbers_a_prompt_names_the_same_concepts(text: str) -> None:
    bare = without_numbers(text)
    assert [p.name for p in split(bare) if isinstance(p, Written)] == [
        p.name for p in split(text) if isinstance(p, Written)
    ]
    assert all(m.bias is None for m in mentions(bare))
    assert without_numbers(bare) == bare


def test_two_numbers_of_one_concept_are_refused_however_its_name_is_written() -> None:
    assert parse_prompt("<Biscuit:0.5> and <biscuit:0.50>").biases() == {"biscuit": 0.5}
    with pytest.raises(PromptError, match="two different numbers"):
        parse_prompt("<Biscuit:0.5> and <biscuit:0.6>").biases()


def test_the_biases_in_use_replace_the_numbers_that_were_written() -> None:
    assert with_biases(parse_prompt("a <Mug:0.5>, <biscuit>"), {"mug": 0.8}) == "a <Mug:0.8>, <biscuit>"


def test_concepts_are_looked_up_in_all_prompts_once_and_an_unknown_one_names_the_known() -> None:
    asked: list[str] = []

    def find(name: str) -> str | None:
        asked.append(name)
        return {"biscuit": "B", "mug": "M"}.get(name)

    assert look_up(["a <Mug> and <biscuit>", "< mug >"], find, list) == {"mug": "M", "biscuit": "B"}
    assert asked == ["mug", "biscuit"]
    with pytest.raises(PromptError, match=r"<cat> is not a known concept. Known here: <biscuit>, <mug>\."):
        look_up(["a <cat>"], find, lambda: ["biscuit", "mug"])


def test_reading_a_prompt_needs_no_torch() -> None:
    code = "import sys, perfusion_core.studio.creating.mentions; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
