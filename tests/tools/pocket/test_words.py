"""Captions as token ids, on the shipped tokenizer."""

from __future__ import annotations

import pytest
from transformers import CLIPTokenizer

from perfusion_core.model.listing import pocket_folder
from tools.pocket.words import ArticleDropper, token_ids


@pytest.fixture(scope="module")
def tokenizer() -> CLIPTokenizer:
    return CLIPTokenizer.from_pretrained(pocket_folder() / "tokenizer")


@pytest.mark.parametrize(
    ("caption", "bare"),
    [
        ("a photo of a dog next to my cup on the beach", "a photo of dog next to cup on the beach"),
        ("a photo of an apple on a wooden table", "a photo of apple on a wooden table"),
        ("a photo of the dog in front of a brick wall", "a photo of dog in front of a brick wall"),
        ("", ""),
    ],
)
def test_only_things_lose_their_articles(tokenizer: CLIPTokenizer, caption: str, bare: str) -> None:
    dropped = ArticleDropper(tokenizer)(token_ids(tokenizer, [caption]))
    assert dropped.equal(token_ids(tokenizer, [bare]))
