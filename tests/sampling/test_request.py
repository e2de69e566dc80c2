"""What cannot be asked for, whoever asks."""

from __future__ import annotations

import pytest

from perfusion_core.errors import PromptError
from perfusion_core.sampling.request import LONGEST_PROMPT, GenerationRequest


@pytest.mark.parametrize("field", ["prompt", "negative_prompt"])
@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("x" * (LONGEST_PROMPT + 1), f"{LONGEST_PROMPT + 1} characters"),
        ("half a \ud83d dog", r"not whole: half a \\ud83d dog"),
        ("a \udcff", r"\\udcff"),
    ],
)
def test_texts_that_cannot_be_written_down_are_refused(field: str, text: str, words: str) -> None:
    with pytest.raises(PromptError, match=words) as refused:
        GenerationRequest(**{"prompt": "a dog", field: text}).checked()
    assert str(refused.value).isprintable()
