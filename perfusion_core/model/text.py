"""Prompts with concepts in them: from text to the encodings that the denoiser reads.

How concepts are written in prompts is in `prompt_grammar.py`. A prompt is tokenised piece by piece
around its placeholders, each placeholder takes one position, and the concept's embedding is put there by a
hook on the token embedding: tokenizer and text encoder stay as they are.
"""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

import torch
from torch import nn

from perfusion_core.errors import PromptError
from perfusion_core.prompt_grammar import canonical, parse_prompt, unknown_concept

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


class ConceptWords(Protocol):
    """What a prompt needs of a concept: its word embedding, shape (D,), and its superclass word."""

    @property
    def embedding(self) -> torch.Tensor: ...
    @property
    def superclass(self) -> str: ...


@dataclass
class PromptEncoding:
    """Encoded prompts.

    `encoding` and `superclass_encoding` are (B, T, D) float32: the prompt itself, and the prompt with each
    concept's superclass word in its place (positions stay aligned). `positions[b][name]` lists where a
    concept stands, `bias_overrides[b][name]` the gate bias written in the prompt, `truncated[b]` the words
    past the token limit ("" when all fit), `superclass_positions[b][name]` where the superclass of a concept
    is written plainly, all of its tokens (no rows for encodings whose prompts are not known).
    """

    encoding: torch.Tensor
    superclass_encoding: torch.Tensor
    positions: list[dict[str, list[int]]]
    bias_overrides: list[dict[str, float]]
    truncated: list[str]
    superclass_positions: list[dict[str, list[int]]] = field(default_factory=list[dict[str, list[int]]])


@dataclass
class _Tokens:
    """One prompt as token ids of the model's full length, and what was found on the way."""

    ids: list[int]
    length: int
    slots: list[tuple[int, str]] = field(default_factory=list)
    biases: dict[str, float] = field(default_factory=dict)
    truncated: str = ""


def superclass_tokens(tokenizer: Any, word: str) -> list[str]:
    """The tokens of a superclass word, to show how the model reads it. Raises PromptError without any."""
    ids = _token_ids(tokenizer, word)
    if not ids:
        raise PromptError("The superclass is empty. Say what the thing is in a word, for example dog.")
    return [str(token).removesuffix("</w>") for token in tokenizer.convert_ids_to_tokens(ids)]


def _token_ids(tokenizer: Any, text: str) -> list[int]:
    return list(tokenizer(text, add_special_tokens=False)["input_ids"])


class PromptEncoder:
    """Encodes prompts with concepts in them, on the text encoder's own device and in its own precision.

    `source` is a Base, a pipeline, or a (tokenizer, text encoder) pair.
    """

    def __init__(self, source: Any) -> None:
        pair = source if isinstance(source, tuple) else (source.tokenizer, source.text_encoder)
        self.tokenizer: Any = pair[0]
        self.text_encoder: Any = pair[1]
        limit = self.text_encoder.config.max_position_embeddings
        self.length = min(int(self.tokenizer.model_max_length), int(limit))

    def encode(
        self,
        prompts: Sequence[str],
        concepts: Mapping[str, ConceptWords],
        *,
        clip_skip: int | None = None,
        superclass: bool = True,
        allow_empty: bool = False,
    ) -> PromptEncoding:
        """Encode prompts; gradients flow to the concepts' embeddings.

        Equal prompts are run once. With `superclass=False` the second encoding is skipped and
        `superclass_encoding` is `encoding` itself. Raises PromptError for an unknown placeholder, a concept
        past the token limit, two different biases for one concept, and an empty prompt.
        """
        distinct = list(dict.fromkeys(prompts))
        tokens = [self._tokens(prompt, concepts, allow_empty) for prompt in distinct]
        encoding = self._run(tokens, {name: c.embedding for name, c in concepts.items()}, clip_skip)
        superclass_encoding = encoding
        if superclass and any(t.slots for t in tokens):
            with torch.no_grad():  # every learned embedding is replaced here, so nothing upstream is learned
                words = {name: self.superclass_embedding(c.superclass) for name, c in concepts.items()}
                superclass_encoding = self._run(tokens, words, clip_skip)
        order = [distinct.index(prompt) for prompt in prompts]
        if order != list(range(len(distinct))):
            encoding, superclass_encoding = encoding[order], superclass_encoding[order]
        found = [tokens[i] for i in order]
        return PromptEncoding(
            encoding=encoding,
            superclass_encoding=superclass_encoding,
            positions=[_positions(t) for t in found],
            bias_overrides=[dict(t.biases) for t in found],
            truncated=[t.truncated for t in found],
            superclass_positions=[
                {name: self._written(c.superclass, t) for name, c in concepts.items()} for t in found
            ],
        )

    def superclass_embedding(self, word: str) -> torch.Tensor:
        """The word embedding of a superclass, shape (D,): the mean over its tokens when it has several."""
        superclass_tokens(self.tokenizer, word)
        table: nn.Embedding = self.text_encoder.get_input_embeddings()
        ids = torch.tensor(_token_ids(self.tokenizer, word), device=table.weight.device)
        return table.weight.detach()[ids].float().mean(dim=0)

    def _written(self, superclass: str, tokens: _Tokens) -> list[int]:
        """The positions of a superclass where it is written plainly, not by a concept."""
        word = _token_ids(self.tokenizer, superclass)
        placeholders = {position for position, _ in tokens.slots}
        starts = range(1, tokens.length - len(word)) if word else ()
        found = [k for k in starts if tokens.ids[k : k + len(word)] == word]
        places = [range(k, k + len(word)) for k in found]
        return [place for span in places if placeholders.isdisjoint(span) for place in span]

    def _tokens(self, prompt: str, concepts: Mapping[str, ConceptWords], allow_empty: bool) -> _Tokens:
        if not prompt.strip() and not allow_empty:
            raise PromptError("The prompt is empty. Say what to show.")
        names = {canonical(name): name for name in concepts}
        added = set(self.tokenizer.get_added_vocab())
        body: list[int] = []
        slots: list[tuple[int, str]] = []
        parsed = parse_prompt(prompt)
        for piece in parsed.pieces:
            if isinstance(piece, str):
                body += _token_ids(self.tokenizer, piece)
                continue
            name = names.get(canonical(piece.name))
            if name is None and piece.source in added:  # a textual inversion loaded by the user
                body += _token_ids(self.tokenizer, piece.source)
                continue
            if name is None:
                raise unknown_concept(piece, concepts)
            slots.append((1 + len(body), name))
            # Any id other than the end mark will do: the hook replaces its embedding.
            body += _token_ids(self.tokenizer, concepts[name].superclass)[:1] or [self.tokenizer.bos_token_id]
        biases = {names[name]: bias for name, bias in parsed.biases().items() if name in names}
        return self._framed(prompt, body, slots, biases)

    def _framed(
        self, prompt: str, body: list[int], slots: list[tuple[int, str]], biases: dict[str, float]
    ) -> _Tokens:
        """Between begin and end marks, cut and padded to the model's length."""
        tokenizer, room = self.tokenizer, self.length - 2
        beyond = [name for position, name in slots if position > room]
        if beyond:
            raise PromptError(
                f"<{beyond[0]}> stands past the {room} tokens this model can read. "
                f"Move it forward or shorten: {prompt}"
            )
        ids = [tokenizer.bos_token_id, *body[:room], tokenizer.eos_token_id]
        cut = tokenizer.decode(body[room:]).strip() if len(body) > room else ""
        padded = ids + [tokenizer.pad_token_id] * (self.length - len(ids))
        return _Tokens(padded, len(ids), slots, biases, cut)

    def _run(
        self, tokens: Sequence[_Tokens], embeddings: Mapping[str, torch.Tensor], clip_skip: int | None
    ) -> torch.Tensor:
        """Run the text encoder with the embeddings put in their positions. Shape: (B, T, D), float32."""
        table: nn.Module = self.text_encoder.get_input_embeddings()
        device = self.text_encoder.device
        ids = torch.tensor([t.ids for t in tokens], device=device)
        rows = [row for row, t in enumerate(tokens) for _ in t.slots]
        columns = [position for t in tokens for position, _ in t.slots]
        values = [embeddings[name] for t in tokens for _, name in t.slots]

        def put_in(_module: nn.Module, _inputs: Any, output: torch.Tensor) -> torch.Tensor:
            where = (torch.tensor(rows, device=output.device), torch.tensor(columns, device=output.device))
            return output.index_put(where, torch.stack(values).to(output))

        handle = table.register_forward_hook(put_in) if values else None
        try:
            learning = any(value.requires_grad for value in values) and torch.is_grad_enabled()
            with nullcontext() if learning else torch.no_grad():
                return self._forward(ids, tokens, clip_skip).float()
        finally:
            if handle is not None:
                handle.remove()

    def _forward(self, ids: torch.Tensor, tokens: Sequence[_Tokens], clip_skip: int | None) -> torch.Tensor:
        mask = None
        if getattr(self.text_encoder.config, "use_attention_mask", False):
            lengths = torch.tensor([[t.length] for t in tokens], device=ids.device)
            mask = (torch.arange(self.length, device=ids.device)[None] < lengths).long()
        if clip_skip is None:
            return self.text_encoder(ids, attention_mask=mask)[0]
        output = self.text_encoder(ids, attention_mask=mask, output_hidden_states=True)
        model = getattr(self.text_encoder, "text_model", self.text_encoder)
        return model.final_layer_norm(output.hidden_states[-(clip_skip + 1)])


def _positions(tokens: _Tokens) -> dict[str, list[int]]:
    positions: dict[str, list[int]] = {}
    for position, name in tokens.slots:
        positions.setdefault(name, []).append(position)
    return positions
