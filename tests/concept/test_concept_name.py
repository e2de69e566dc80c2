"""Names that can be told apart by eye, in any script."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from perfusion_core.concept_name import require_distinct, validate_name
from perfusion_core.errors import ConceptError
from perfusion_core.printable import printable

COP, MUG = "сор", "mυg"  # all Cyrillic; a Greek υ in the middle
UNSEEN = ["\u1160", "\u115f", "\u3164", "\uffa0", "\ufe0f", "\u034f", "\u17b4", "\u180b", "\U000e0100"]


@pytest.mark.parametrize("character", UNSEEN)
def test_what_is_not_seen_is_no_part_of_a_name(character: str) -> None:
    with pytest.raises(ConceptError, match=r"cannot be a name.* Choose"):
        validate_name(f"bis{character}cuit")


@pytest.mark.parametrize("written", [MUG, "bіscuit", "paypаl", "dogשׁ", "кotик", "σtar"])
def test_letters_of_two_scripts_in_one_word_are_refused_by_name(written: str) -> None:
    with pytest.raises(ConceptError, match=r"mixes \w+ and \w+ letters"):
        validate_name(written)


@pytest.mark.parametrize(
    "written",
    [
        "biscuit-2",
        "кот",
        "мой-iphone",
        "кот-so-far",
        "σκύλος",
        "わんこ",
        "カメラ2",
        "ロボットくん",
        "日本語のabc",
        "人々",
        "ラーメン",
        "ら-めん",
        "강아지",
        "강아지dog",
        "小狗",
        "कुत्ता",
        "สุนัข",
        "كلب٣",
        "כלב",
        "շուն",
        "chó",
        "ʻokina",
        "２つ",
        "s_c",
    ],
)
def test_words_of_living_scripts_are_names(written: str) -> None:
    assert validate_name(validate_name(written)) == validate_name(written)


@pytest.mark.parametrize(
    ("name", "other"),
    [(COP, "cop"), ("cop", COP), ("ореха", "opexa"), ("ѕсоре", "scope"), ("mıa", "mia"), ("ονο", "ovo")],
)
def test_a_name_that_looks_like_another_is_refused_beside_it(name: str, other: str) -> None:
    with pytest.raises(ConceptError, match=f"looks like <{other}>"):
        require_distinct(validate_name(name), ["mug", validate_name(other)])


def test_a_name_is_distinct_from_itself_and_from_what_differs() -> None:
    for name in ("cop", "cup", COP, "кот"):
        require_distinct(name, [name, "mug", "собака", "cop-2"])


def test_long_texts_are_refused_in_few_words() -> None:
    with pytest.raises(ConceptError) as refused:
        validate_name("x" * 5_000_000)
    assert len(str(refused.value)) < 250


@given(st.text(st.characters(), max_size=50))
@example("\u1680")  # a space that no normalisation makes a plain one
def test_any_text_is_a_canonical_name_or_refused_in_printable_words(text: str) -> None:
    try:
        name = validate_name(text)
    except ConceptError as error:
        name, said = "", str(error)
    else:
        said = ""
        assert validate_name(name) == name
    assert name.isprintable()
    assert printable(said) == said
