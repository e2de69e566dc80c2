"""One text encoder of a pipeline, run with concepts' embeddings in their positions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import nn
from torch.utils.checkpoint import checkpoint

from perfusion_core.errors import PerfusionError
from perfusion_core.model.tokens import (
    ConceptWords,
    Frame,
    PromptTokenizer,
    PromptTokens,
    superclass_tokens,
)

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from perfusion_core.model.families.description import Encoder


@dataclass
class EncoderRun:
    """What one text encoder made of prompts.

    states (B, T, E) float32; superclass_states the same with superclass words in the concepts' places, None
    where that was not asked for or no prompt names a concept; pooled (B, P); mask (B, T), 1 for tokens that
    are no padding. The last two are None where the family takes none.
    """

    states: torch.Tensor
    superclass_states: torch.Tensor | None
    pooled: torch.Tensor | None
    mask: torch.Tensor | None
    tokens: list[PromptTokens]


class TextEncoder:
    """A text encoder with its tokenizer, and how its family reads it (`facts`)."""

    def __init__(self, tokenizer: Any, module: Any, facts: Encoder) -> None:
        self.tokenizer = tokenizer
        self.module = module
        self.facts = facts
        self.tokens = PromptTokenizer(tokenizer, facts, _limit(tokenizer, module))

    @classmethod
    def of(cls, pipe: Any, facts: Encoder) -> TextEncoder:
        return cls(getattr(pipe, facts.tokenizer), getattr(pipe, facts.part), facts)

    @property
    def part(self) -> str:
        return self.facts.part

    @property
    def table(self) -> Any:
        """The module that turns token ids into embeddings."""
        if self.facts.table:
            return self.module.get_submodule(self.facts.table)
        return self.module.get_input_embeddings()

    @torch.no_grad()
    def superclass_embedding(self, word: str) -> torch.Tensor:
        """The word embedding of a superclass, shape (E,): the mean over its tokens when it has several."""
        superclass_tokens(self.tokenizer, word)
        table = self.table
        ids = torch.tensor(self.tokens.word(word), device=table.weight.device)
        return table(ids).detach().float().mean(dim=0)

    @torch.no_grad()
    def vocabulary_norm(self) -> float:
        """The mean norm of all word embeddings."""
        device = self.table.weight.device
        every = torch.arange(len(self.tokenizer), device=device)
        norms = [self.table(ids).float().norm(dim=-1) for ids in every.split(8192)]
        return float(torch.cat(norms).mean())

    def run(
        self,
        prompts: Sequence[str],
        concepts: Mapping[str, ConceptWords],
        frame: Frame,
        clip_skip: int | None,
        *,
        superclass: bool,
        allow_empty: bool,
        beside_superclass: Collection[str] = (),
        recompute: bool = False,
    ) -> EncoderRun:
        """Encode distinct prompts; gradients flow to the concepts' embeddings in this encoder.

        What `beside_superclass` and `recompute` mean says `PromptEncoder.encode`.
        """
        tokens = [self.tokens.tokens(prompt, concepts, frame, allow_empty=allow_empty) for prompt in prompts]
        embeddings = {name: concept.embeddings[self.part] for name, concept in concepts.items()}
        states, pooled = self._run(tokens, embeddings, clip_skip, recompute or self.facts.large)
        if any(name in beside_superclass for t in tokens for _, name in t.slots):
            kept = {name: e for name, e in embeddings.items() if name not in beside_superclass}
            words = {
                n: kept[n] if n in kept else self.superclass_embedding(c.superclass)
                for n, c in concepts.items()
            }
            others, _ = self._run(tokens, words, clip_skip)
            states = _only_at(tokens, beside_superclass, states, others)
        replaced = None
        if any(t.slots for t in tokens) and (superclass or self.facts.pooled):
            # Every learned embedding is replaced here, so nothing upstream is learned.
            words = {name: self.superclass_embedding(c.superclass) for name, c in concepts.items()}
            with torch.no_grad():
                found, pooled = self._run(tokens, words, clip_skip)
            replaced = found if superclass else None
        mask = self._mask(tokens) if self.facts.masked else None
        return EncoderRun(states, replaced, pooled, None if mask is None else mask[:, tokens[0].kept], tokens)

    def plain(self, texts: Sequence[str], frame: Frame) -> tuple[torch.Tensor, torch.Tensor]:
        """Plain texts, padded to the longest of them: states (B, T, E), and which are no padding (B, T)."""
        tokens = [self.tokens.plain(text, frame) for text in texts]
        longest = max(len(t.ids) for t in tokens)
        padded = [self._padded(t, longest) for t in tokens]
        # A causal encoder never looks ahead, and others are told what is padding: this changes nothing.
        states, _ = self._forward(self._ids(padded), self._mask(padded), None)
        kept = padded[0].kept
        return states[:, kept].float(), _present(padded)[:, kept]

    def _padded(self, tokens: PromptTokens, length: int) -> PromptTokens:
        padding = [self.tokenizer.pad_token_id] * (length - tokens.length)
        if self.facts.left:
            return PromptTokens(padding + tokens.ids, tokens.length, begin=len(padding))
        return PromptTokens(tokens.ids + padding, tokens.length, skipped=tokens.skipped)

    def _run(
        self,
        tokens: Sequence[PromptTokens],
        embeddings: Mapping[str, torch.Tensor],
        clip_skip: int | None,
        recompute: bool = False,
    ) -> tuple[torch.Tensor, torch.Tensor | None]:
        """Run the encoder with the embeddings put in their positions. Shape: (B, T, E), (B, P)."""
        learned = [e for t in tokens for _, name in t.slots if (e := embeddings[name]).requires_grad]
        if not learned or not torch.is_grad_enabled():
            with torch.no_grad():
                return self._states(tokens, embeddings, clip_skip)
        if not recompute:
            return self._states(tokens, embeddings, clip_skip)
        runs: list[Any] = [
            checkpoint(
                self._states, [one], embeddings, clip_skip, use_reentrant=False, preserve_rng_state=False
            )
            for one in tokens
        ]
        pooled = None if runs[0][1] is None else torch.cat([pooled for _, pooled in runs])
        return torch.cat([states for states, _ in runs]), pooled

    def _states(
        self, tokens: Sequence[PromptTokens], embeddings: Mapping[str, torch.Tensor], clip_skip: int | None
    ) -> tuple[torch.Tensor, torch.Tensor | None]:
        rows = [row for row, t in enumerate(tokens) for _ in t.slots]
        columns = [position for t in tokens for position, _ in t.slots]
        values = [embeddings[name] for t in tokens for _, name in t.slots]
        placed: list[bool] = []

        def put_in(_module: nn.Module, _inputs: Any, output: torch.Tensor) -> torch.Tensor:
            placed.append(True)
            where = (torch.tensor(rows, device=output.device), torch.tensor(columns, device=output.device))
            return output.index_put(where, torch.stack(values).to(output))

        handle = self.table.register_forward_hook(put_in) if values else None
        try:
            states, pooled = self._forward(self._ids(tokens), self._mask(tokens), clip_skip)
        finally:
            if handle is not None:
                handle.remove()
        if values and not placed:
            raise PerfusionError(
                f"{type(self.module).__name__} does not read words through its token embedding, so a concept "
                "cannot stand in a prompt. Load the base model with its own text encoder."
            )
        if tokens[0].skipped:
            states = states[:, tokens[0].kept]
        if self.facts.zeroed:
            states = _without_padding(states, tokens)
        return states.float(), None if pooled is None else pooled.float()

    def _forward(
        self, ids: torch.Tensor, mask: torch.Tensor | None, clip_skip: int | None
    ) -> tuple[torch.Tensor, torch.Tensor | None]:
        if self.facts.read is not None:
            return self.facts.read(self.module, ids, mask)
        if self.facts.states == "penultimate":
            output = self.module(ids, attention_mask=mask, output_hidden_states=True)
            pooled = output[0] if self.facts.pooled else None
            return output.hidden_states[-((clip_skip or 0) + 2)], pooled
        if clip_skip is None:
            return self.module(ids, attention_mask=mask)[0], None
        output = self.module(ids, attention_mask=mask, output_hidden_states=True)
        model = getattr(self.module, "text_model", self.module)
        return model.final_layer_norm(output.hidden_states[-(clip_skip + 1)]), None

    def _ids(self, tokens: Sequence[PromptTokens]) -> torch.Tensor:
        return torch.tensor([t.ids for t in tokens], device=self.module.device)

    def _mask(self, tokens: Sequence[PromptTokens]) -> torch.Tensor | None:
        """1 for tokens that are no padding, where the encoder is told. Shape: (B, T)."""
        facts, config = self.facts, self.module.config
        if not (facts.masked or facts.left or getattr(config, "use_attention_mask", False)):
            return None
        return _present(tokens).long().to(self.module.device)


def _without_padding(states: torch.Tensor, tokens: Sequence[PromptTokens]) -> torch.Tensor:
    """`states`, zero where padding is. Shape: (B, T, E)."""
    present = _present(tokens)[:, tokens[0].kept].to(states.device)
    return torch.where(present[..., None], states, 0.0)


def _present(tokens: Sequence[PromptTokens]) -> torch.Tensor:
    """Which tokens are no padding, as the encoder counts them. Shape: (B, T)."""
    begin = torch.tensor([[t.begin] for t in tokens])
    places = torch.arange(len(tokens[0].ids))[None]
    return (places >= begin) & (places < begin + torch.tensor([[t.length] for t in tokens]))


def _only_at(
    tokens: Sequence[PromptTokens], names: Collection[str], states: torch.Tensor, others: torch.Tensor
) -> torch.Tensor:
    """`states` where the named concepts stand, `others` elsewhere. Shape: (B, T, E) each."""
    own = torch.zeros(states.shape[:2], dtype=torch.bool)
    for row, found in enumerate(tokens):
        for name, positions in found.positions().items():
            if name in names:
                own[row, positions] = True
    return torch.where(own[..., None].to(states.device), states, others)


def _limit(tokenizer: Any, module: Any) -> int | None:
    """The most tokens that tokenizer and encoder take; None where positions are relative."""
    positions = getattr(module.config, "max_position_embeddings", None)
    return None if positions is None else min(int(tokenizer.model_max_length), int(positions))
