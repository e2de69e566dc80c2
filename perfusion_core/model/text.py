"""Prompts with concepts in them: from text to the encodings that the denoiser reads.

How concepts are written in prompts is in `prompt_grammar.py`, how they become tokens in `tokens.py`. A
concept's embedding is put in its position by a hook on the token embedding: tokenizer and text encoder stay
as they are.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import torch

from perfusion_core.model.families.description import Encoder
from perfusion_core.model.families.registry import family_of
from perfusion_core.model.reading import as_read
from perfusion_core.model.text_encoder import TextEncoder
from perfusion_core.model.tokens import ConceptWords, Frame, superclass_tokens

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

__all__ = ["ConceptWords", "Frame", "PromptEncoder", "PromptEncoding", "superclass_tokens"]


@dataclass
class PromptEncoding:
    """Encoded prompts.

    `encoding` and `superclass_encoding` are (B, T, D) float32, as the projections read them: the prompt
    itself, and the prompt with each concept's superclass word in its place (positions stay aligned).
    `positions[b][name]` lists where a concept stands, `bias_overrides[b][name]` the gate bias written in the
    prompt, `truncated[b]` the words past the token limit ("" when all fit). `given` (B, T, D') is what the
    denoiser is called with, `encoding` itself unless the denoiser changes it; with it go `mask` (B, T), 1
    where a token is no padding, and `pooled` (B, P), of the prompt with the superclass words; None where the
    denoiser takes none. `superclass_positions[b][name]` lists where the superclass of a concept is written
    plainly, all of its tokens (no rows for encodings whose prompts are not known).
    """

    encoding: torch.Tensor
    superclass_encoding: torch.Tensor
    positions: list[dict[str, list[int]]]
    bias_overrides: list[dict[str, float]]
    truncated: list[str]
    given: torch.Tensor
    mask: torch.Tensor | None = None
    pooled: torch.Tensor | None = None
    superclass_positions: list[dict[str, list[int]]] = field(default_factory=list[dict[str, list[int]]])


class PromptEncoder:
    """Encodes prompts with concepts in them, on the text encoders' own devices and in their own precision.

    `source` is a Base, a pipeline, or a (tokenizer, text encoder) pair of Stable Diffusion's kind.
    """

    def __init__(self, source: Any) -> None:
        if isinstance(source, tuple):
            self._denoiser, self._reader = None, ()
            self.encoders = [TextEncoder(source[0], source[1], Encoder())]
            self._frame = Frame()
            return
        pipe = getattr(source, "pipeline", source)
        family = family_of(pipe)
        self._denoiser, self._reader = getattr(pipe, family.denoiser), family.reader
        self.encoders = [TextEncoder.of(pipe, encoder) for encoder in family.encoders]
        self._frame = default_frame(pipe, family.encoders[0])

    @property
    def tokenizer(self) -> Any:
        """The first text encoder's."""
        return self.encoders[0].tokenizer

    @property
    def text_encoder(self) -> Any:
        """The first text encoder."""
        return self.encoders[0].module

    @property
    def length(self) -> int:
        """T, where nothing else is asked for."""
        return self.encoders[0].tokens.length(self._frame)

    def encode(
        self,
        prompts: Sequence[str],
        concepts: Mapping[str, ConceptWords],
        *,
        clip_skip: int | None = None,
        superclass: bool = True,
        allow_empty: bool = False,
        frame: Frame | None = None,
        beside_superclass: Collection[str] = (),
        recompute: bool = False,
    ) -> PromptEncoding:
        """Encode prompts; gradients flow to the concepts' embeddings.

        Equal prompts are run once. With `superclass=False` the second encoding is skipped and
        `superclass_encoding` is `encoding` itself. `frame=None` is the pipeline's own. Of the concepts named
        in `beside_superclass` only their own tokens enter `encoding`: the other words are encoded beside the
        superclass word and cannot carry them (the base flow of LaTexBlend, CVPR 2025). With `recompute` the
        backward pass runs the encoders again, a prompt at a time, and little is kept for it; large ones are
        always learned through so. Raises PromptError for an unknown placeholder, a concept past the token
        limit, two different biases for one concept, and an empty prompt.
        """
        distinct = list(dict.fromkeys(prompts))
        frame = self._frame if frame is None else frame
        runs = [
            encoder.run(
                distinct,
                concepts,
                frame,
                clip_skip,
                superclass=superclass,
                allow_empty=allow_empty,
                beside_superclass=beside_superclass,
                recompute=recompute,
            )
            for encoder in self.encoders
        ]
        order = [distinct.index(prompt) for prompt in prompts]
        given = _in_order(_joined([run.states for run in runs]), order)
        encoding = as_read(self._denoiser, self._reader, given)
        superclass_encoding = encoding
        if all(run.superclass_states is not None for run in runs):
            replaced = _joined([run.superclass_states for run in runs if run.superclass_states is not None])
            superclass_encoding = as_read(self._denoiser, self._reader, _in_order(replaced, order))
        pooled = next((run.pooled for run in runs if run.pooled is not None), None)
        mask = runs[0].mask
        found = [runs[0].tokens[i] for i in order]
        return PromptEncoding(
            encoding=encoding,
            superclass_encoding=superclass_encoding,
            positions=[tokens.positions() for tokens in found],
            bias_overrides=[dict(tokens.biases) for tokens in found],
            truncated=[tokens.truncated for tokens in found],
            given=given,
            mask=None if mask is None else mask[order],
            pooled=None if pooled is None else pooled[order],
            superclass_positions=[
                {name: self.encoders[0].tokens.written(c.superclass, t) for name, c in concepts.items()}
                for t in found
            ],
        )

    @torch.no_grad()
    def rows(self, texts: Sequence[str]) -> torch.Tensor:
        """The encodings of all tokens of plain texts that are no padding. Shape: (tokens, D), float32."""
        runs = [encoder.plain(texts, self._frame) for encoder in self.encoders]
        states, present = _joined([states for states, _ in runs]), runs[0][1]
        read = as_read(self._denoiser, self._reader, states)
        return read[present.to(read.device)].float()

    def superclass_embedding(self, word: str) -> torch.Tensor:
        """The word embedding of a superclass in the first text encoder, shape (E,): the mean over its tokens
        when it has several.
        """
        return self.encoders[0].superclass_embedding(word)

    def superclass_embeddings(self, word: str) -> dict[str, torch.Tensor]:
        """The same in each text encoder, by the encoder's name in the pipeline."""
        return {encoder.part: encoder.superclass_embedding(word) for encoder in self.encoders}

    def vocabulary_norms(self) -> dict[str, float]:
        """The mean norm of the word embeddings of each text encoder, by its name in the pipeline."""
        return {encoder.part: encoder.vocabulary_norm() for encoder in self.encoders}


def default_frame(pipe: Any, encoder: Encoder) -> Frame:
    """What a pipeline puts prompts into where its caller asks for nothing else."""
    return frame_of(_call_defaults(pipe), encoder)


def frame_of(arguments: Mapping[str, Any], encoder: Encoder) -> Frame:
    """What prompts are put into, from the arguments of a pipeline's `encode_prompt`."""
    length = arguments.get(encoder.length_argument) if encoder.length_argument else None
    instruction = arguments.get(encoder.instruction_argument) if encoder.instruction_argument else None
    return Frame(length, "\n".join(instruction or ()))


def _call_defaults(pipe: Any) -> dict[str, Any]:
    import inspect

    parameters = inspect.signature(type(pipe).__call__).parameters.values() if callable(pipe) else ()
    return {p.name: p.default for p in parameters if p.default is not inspect.Parameter.empty}


def _joined(states: list[torch.Tensor]) -> torch.Tensor:
    """Side by side, each token's states of all encoders. Shape: (B, T, D') from (B, T, D'_k)."""
    if len(states) == 1:
        return states[0]
    return torch.cat([one.to(states[0].device) for one in states], dim=-1)


def _in_order(states: torch.Tensor, order: list[int]) -> torch.Tensor:
    return states if order == list(range(len(states))) else states[order]
