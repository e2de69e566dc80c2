"""New words in a pipeline's vocabulary, by diffusers' textual inversion loader; afterwards none is left."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor

from perfusion_core.model.base import Base
from perfusion_core.model.quiet import quiet_libraries


@contextmanager
def extra_words(base: Base, vectors: Mapping[str, Tensor]) -> Iterator[dict[str, int]]:
    """The pipeline with these words and their embeddings, (D,) each; gives their token numbers.

    Tokenizer and embedding table are copies meanwhile, so that the base's own are the same objects with the
    same bits afterwards: `unload_textual_inversion` rebuilds the table instead.
    """
    pipe: Any = base.pipeline
    tokenizer, table, config = (
        pipe.tokenizer,
        base.text_encoder.get_input_embeddings(),
        pipe.text_encoder.config,
    )
    size = config.vocab_size
    pipe.tokenizer = copy.deepcopy(tokenizer)
    base.text_encoder.set_input_embeddings(copy.deepcopy(table))
    try:
        with quiet_libraries(), torch.random.fork_rng(devices=[]):
            for word, vector in vectors.items():
                pipe.load_textual_inversion({word: vector.detach().clone()}, token=word)
        yield {word: int(pipe.tokenizer.convert_tokens_to_ids(word)) for word in vectors}
    finally:
        pipe.tokenizer = tokenizer
        base.text_encoder.set_input_embeddings(table)
        config.vocab_size = size


def encoder(base: Base) -> Callable[[list[str]], Tensor]:
    """Prompts (M,) to their encodings (M, T, D) by the pipeline's own `encode_prompt`, with gradients."""
    pipe: Any = base.pipeline

    def encode(prompts: list[str]) -> Tensor:
        return pipe.encode_prompt(prompts, base.device, 1, False)[0]

    return encode


def fixed_encoder(base: Base) -> Callable[[list[str]], Tensor]:
    """The same for a text encoder that does not learn: each list of prompts is encoded once."""
    encode, kept = encoder(base), dict[tuple[str, ...], Tensor]()

    def once(prompts: list[str]) -> Tensor:
        if tuple(prompts) not in kept:
            with torch.no_grad():
                kept[tuple(prompts)] = encode(prompts)
        return kept[tuple(prompts)]

    return once


class NewWords:
    """Embeddings that learn inside the table of `extra_words`, while every other row stays as it is."""

    def __init__(self, base: Base, numbers: Mapping[str, int]) -> None:
        self.table: Any = base.text_encoder.get_input_embeddings()
        self.table.weight.requires_grad_(True)
        self._numbers = dict(numbers)
        self._others = torch.ones(len(self.table.weight), dtype=torch.bool)
        self._others[list(self._numbers.values())] = False
        self._before = self.table.weight.detach().clone()

    @torch.no_grad()
    def put_back_others(self) -> None:
        """After an optimizer's step: weight decay has moved rows that no prompt named."""
        others = self._others.to(self.table.weight.device)
        self.table.weight[others] = self._before[others]

    def vectors(self) -> dict[str, Tensor]:
        """The words' embeddings as they now are, (D,) each."""
        return {word: self.table.weight[number].detach().clone() for word, number in self._numbers.items()}
