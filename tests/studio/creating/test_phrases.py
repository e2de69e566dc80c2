"""Known phrases go where captions have them."""

from __future__ import annotations

import pytest

from perfusion_core.studio.creating.phrases import with_phrase, with_word
from perfusion_core.studio.word_check import unknown_words
from tests.worded_base import pocket_words

KNOWN = pocket_words()


@pytest.mark.parametrize(
    ("prompt", "phrase", "after"),
    [
        # a kind of thing
        ("a photo of a dog on the beach", "guitar", "a photo of a guitar on the beach"),
        ("a photo of a dog on the beach", "apple", "a photo of an apple on the beach"),
        ("a photo of a dog next to a cat", "guitar", "a photo of a dog next to a guitar"),
        ("a photo of <biscuit> on the beach", "guitar", "a photo of <biscuit> next to a guitar on the beach"),
        ("a photo of a <dog> in the city", "cat", "a photo of a <dog> next to a cat in the city"),
        ("a photo of on the beach", "dog", "a photo of a dog on the beach"),
        ("a wizard on the beach", "dog", "a wizard next to a dog on the beach"),
        ("", "potted plant", "a photo of a potted plant"),
        # a place
        ("a photo of a dog", "in the snow", "a photo of a dog in the snow"),
        ("a photo of <biscuit:0.6> on the beach", "in the snow", "a photo of <biscuit:0.6> in the snow"),
        ("a dog on a white background.", "in space", "a dog in space."),
        # what is worn
        (
            "a photo of a dog next to a cat on the beach",
            "wearing a crown",
            "a photo of a dog next to a cat wearing a crown on the beach",
        ),
        ("a photo of a dog wearing a cap", "wearing a crown", "a photo of a dog wearing a crown"),
        ("a photo of <biscuit>", "wearing a crown", "a photo of <biscuit> wearing a crown"),
        # a colour
        ("a photo of a red dog", "blue", "a photo of a blue dog"),
        ("a photo of an apple", "red", "a photo of a red apple"),
        ("a photo of a dog", "orange", "a photo of an orange dog"),
        ("", "red", "a photo of a red bear"),
        # a style
        ("a photo of a dog", "a pencil sketch of", "a pencil sketch of a dog"),
        ("A black and white photo of a dog", "pixel art of", "pixel art of a dog"),
        ("a dog", "a photo of", "a photo of a dog"),
        # two things
        ("a photo of a bear on the beach", "next to", "a photo of a bear next to a bird on the beach"),
        ("a photo of a dog next to a cat", "and", "a photo of a dog and a cat"),
        # nothing that is known
        ("a photo of a dog", "wizard", "a photo of a dog"),
    ],
)
def test_a_phrase_goes_where_captions_have_it(prompt: str, phrase: str, after: str) -> None:
    assert with_phrase(prompt, KNOWN, phrase) == after


@pytest.mark.parametrize("phrase", KNOWN.phrases)
def test_putting_a_phrase_in_twice_changes_nothing_more(phrase: str) -> None:
    for prompt in ("a photo of a frog in the city", "a photo of <biscuit>", ""):
        once = with_phrase(prompt, KNOWN, phrase)
        assert with_phrase(once, KNOWN, phrase) == once
        assert not unknown_words(once, KNOWN)
        assert ("<biscuit>" in once) == ("<biscuit>" in prompt)


def test_a_word_is_exchanged_as_a_whole_word_and_its_article_follows() -> None:
    assert with_word("an elefant, an Elefant. elefants", "elefant", "horse") == "a horse, a horse. elefants"
    assert with_word("a dogs <dogs> dogs-house", "dogs", "dog") == "a dog <dogs> dogs-house"
