"""The text encoder's shape, and captions as token ids that know where their nouns are."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer

from tools.pocket.scene import Caption

WIDTH = 256
MAX_TOKENS = 32


def build_text(tokenizer: CLIPTokenizer) -> CLIPTextModel:
    """Stable Diffusion's text encoder in small: 4 causal layers x 256."""
    config = CLIPTextConfig(
        vocab_size=len(tokenizer), hidden_size=WIDTH, intermediate_size=4 * WIDTH, num_hidden_layers=4,
        num_attention_heads=4, max_position_embeddings=MAX_TOKENS, projection_dim=WIDTH,
        bos_token_id=tokenizer.bos_token_id, eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )  # fmt: skip
    return CLIPTextModel(config)


def load_tokenizer(work: Path) -> CLIPTokenizer:
    """The tokenizer that `train_tokenizer` saved."""
    return CLIPTokenizer.from_pretrained(work / "tokenizer")


def token_ids(tokenizer: CLIPTokenizer, captions: list[str]) -> Tensor:
    """Token ids (n, 32) of plain strings, padded with the end token as Stable Diffusion does."""
    made = tokenizer(
        captions, padding="max_length", max_length=MAX_TOKENS, truncation=True, return_tensors="pt"
    )
    return made.input_ids.to(torch.long)


class Encoder:
    """Captions -> ids (n, 32) padded with the end token, and noun positions (n, 2), -1 for none."""

    def __init__(self, tokenizer: CLIPTokenizer) -> None:
        self.tokenizer = tokenizer
        self.start, self.end = tokenizer.bos_token_id, tokenizer.eos_token_id
        self._words: dict[str, list[int]] = {}

    @property
    def empty(self) -> Tensor:
        """Ids (1, 32) of the empty caption."""
        ids = torch.full((1, MAX_TOKENS), self.end)
        ids[0, 0] = self.start
        return ids

    def word(self, word: str) -> list[int]:
        """Token ids of one word."""
        if word not in self._words:
            self._words[word] = self.tokenizer(word, add_special_tokens=False).input_ids
        return self._words[word]

    def __call__(self, captions: list[Caption]) -> tuple[Tensor, Tensor]:
        ids = torch.full((len(captions), MAX_TOKENS), self.end)
        nouns = torch.full((len(captions), 2), -1)
        for row, caption in enumerate(captions):
            tokens, last = [self.start], []
            for word in caption.words:
                tokens += self.word(word)
                last.append(len(tokens) - 1)
            tokens = tokens[: MAX_TOKENS - 1]
            ids[row, : len(tokens)] = torch.tensor(tokens)
            for slot, noun in enumerate(caption.nouns):
                if last[noun] < MAX_TOKENS - 1:
                    nouns[row, slot] = last[noun]
        return ids, nouns
