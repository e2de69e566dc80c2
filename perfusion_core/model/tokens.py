"""A prompt with concepts in it as token ids: each placeholder takes one position.

Where a word's tokens do not depend on the space before it (CLIP), a prompt is tokenised piece by piece around
its placeholders. Else the superclass word stands in for each placeholder, the prompt is tokenised as a whole,
and the word's tokens become one position: what is around it is split as it would be around the word.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, Protocol

from perfusion_core.errors import PromptError
from perfusion_core.prompt_grammar import canonical, parse_prompt, unknown_concept

if TYPE_CHECKING:
    from collections.abc import Mapping

    import torch

    from perfusion_core.model.families.description import Encoder
    from perfusion_core.prompt_grammar import ParsedPrompt


class ConceptWords(Protocol):
    """What a prompt needs of a concept: its word embedding in each text encoder, shape (E,), and its
    superclass word.
    """

    @property
    def embeddings(self) -> Mapping[str, torch.Tensor]: ...
    @property
    def superclass(self) -> str: ...


@dataclass(frozen=True)
class Frame:
    """What a prompt is put into.

    length: tokens that the denoiser is given; None for what tokenizer and encoder take. instruction: text
    that the encoder reads before the prompt, of which the denoiser is given no more than its first token.
    """

    length: int | None = None
    instruction: str = ""


@dataclass
class PromptTokens:
    """One prompt as token ids of the full length, and what was found on the way.

    length: tokens that are no padding. slots: where concepts stand, as the encoder counts. skipped: tokens
    behind the first that are left out of what the denoiser is given. begin: padding before the text.
    """

    ids: list[int]
    length: int
    slots: list[tuple[int, str]] = field(default_factory=list)
    biases: dict[str, float] = field(default_factory=dict)
    truncated: str = ""
    skipped: int = 0
    begin: int = 0

    @property
    def kept(self) -> list[int]:
        """The encoder's positions that the denoiser is given."""
        return [0, *range(1 + self.skipped, len(self.ids))]

    def positions(self) -> dict[str, list[int]]:
        """Where each concept stands in what the denoiser is given."""
        positions: dict[str, list[int]] = {}
        for position, name in self.slots:
            positions.setdefault(name, []).append(position - self.skipped)
        return positions


def superclass_tokens(tokenizer: Any, word: str) -> list[str]:
    """The tokens of a superclass word, to show how the model reads it. Raises PromptError without any."""
    ids = token_ids(tokenizer, word)
    if not ids:
        raise PromptError("The superclass is empty. Say what the thing is in a word, for example dog.")
    return [str(token).removesuffix("</w>") for token in tokenizer.convert_ids_to_tokens(ids)]


def token_ids(tokenizer: Any, text: str) -> list[int]:
    """The ids of a text, without begin and end marks."""
    # What is too long is cut here and told of; the tokenizer would warn of it too.
    return list(tokenizer(text, add_special_tokens=False, verbose=False)["input_ids"])


class PromptTokenizer:
    """Tokenises prompts for one text encoder. `limit`: the most tokens that it takes, None for any number."""

    def __init__(self, tokenizer: Any, encoder: Encoder, limit: int | None) -> None:
        self.tokenizer = tokenizer
        self._encoder = encoder
        self._limit = limit

    def length(self, frame: Frame) -> int:
        """Tokens of a prompt with begin and end marks and padding, as the denoiser is given them."""
        found = [size for size in (self._limit, frame.length) if size is not None]
        assert found, "neither the encoder nor the pipeline says how long a prompt may be"
        return min(found)

    def tokens(
        self, prompt: str, concepts: Mapping[str, ConceptWords], frame: Frame, *, allow_empty: bool
    ) -> PromptTokens:
        """Raises PromptError for an unknown placeholder, two different biases for one concept, a concept
        past the token limit, and an empty prompt.
        """
        if not prompt.strip() and not allow_empty:
            raise PromptError("The prompt is empty. Say what to show.")
        names = {canonical(name): name for name in concepts}
        parsed = parse_prompt(prompt)
        pieces = self._pieces(parsed, names, concepts)
        if self._encoder.whole:
            body, slots = self._as_a_whole(pieces, concepts, frame.instruction)
        else:
            body, slots = self._piece_by_piece(pieces, concepts)
        biases = {names[name]: bias for name, bias in parsed.biases().items() if name in names}
        return self._framed(prompt, body, slots, biases, frame)

    def plain(self, text: str, frame: Frame) -> PromptTokens:
        """A text in which nothing is a placeholder, cut but not padded."""
        text = self._prepared(text).strip() if self._encoder.lowercase else text
        body = token_ids(self.tokenizer, frame.instruction + text)
        begin, end = self._marks
        skipped = self._skipped(frame)
        room = self.length(frame) + skipped - len(begin) - len(end)
        ids = [*begin, *body[:room], *end]
        return PromptTokens(ids, len(ids), skipped=skipped)

    def word(self, word: str) -> list[int]:
        """The ids of a word as it stands inside a text."""
        if not self._encoder.whole:
            return token_ids(self.tokenizer, word)
        text = self._prepared(word)
        return token_ids(self.tokenizer, " " + text if self._fast else text)

    def written(self, superclass: str, tokens: PromptTokens) -> list[int]:
        """The positions of a superclass where it is written plainly, not by a concept."""
        word = self.word(superclass)
        placeholders = {position for position, _ in tokens.slots}
        end = tokens.begin + tokens.length
        starts = range(tokens.begin + 1 + tokens.skipped, end - len(word) + 1) if word else ()
        found = [k for k in starts if tokens.ids[k : k + len(word)] == word]
        places = [range(k, k + len(word)) for k in found]
        return [place - tokens.skipped for span in places if placeholders.isdisjoint(span) for place in span]

    def _pieces(
        self, parsed: ParsedPrompt, names: Mapping[str, str], concepts: Mapping[str, ConceptWords]
    ) -> list[tuple[str, bool]]:
        """The prompt as texts and names of concepts (True) in turn."""
        added = set(self.tokenizer.get_added_vocab())
        found: list[tuple[str, bool]] = []
        for piece in parsed.pieces:
            if isinstance(piece, str):
                found.append((piece, False))
                continue
            name = names.get(canonical(piece.name))
            if name is not None:
                found.append((name, True))
            elif piece.source in added:  # a textual inversion loaded by the user
                found.append((piece.source, False))
            else:
                raise unknown_concept(piece, concepts)
        return found

    def _piece_by_piece(
        self, pieces: list[tuple[str, bool]], concepts: Mapping[str, ConceptWords]
    ) -> tuple[list[int], list[tuple[int, str]]]:
        body: list[int] = []
        slots: list[tuple[int, str]] = []
        for text, is_concept in pieces:
            if not is_concept:
                body += token_ids(self.tokenizer, text)
                continue
            slots.append((len(body), text))
            # Any id other than the end mark will do: the hook replaces its embedding.
            word = token_ids(self.tokenizer, concepts[text].superclass)
            body += word[:1] or [self.tokenizer.bos_token_id]
        return body, slots

    def _as_a_whole(
        self, pieces: list[tuple[str, bool]], concepts: Mapping[str, ConceptWords], instruction: str
    ) -> tuple[list[int], list[tuple[int, str]]]:
        text, words = "", list[tuple[int, int, str]]()  # where each stand-in begins and ends
        for piece, is_concept in pieces:
            shown = self._prepared(concepts[piece].superclass if is_concept else piece)
            if not text:
                shown = shown.lstrip()
            if is_concept:
                words.append((len(instruction) + len(text), len(instruction) + len(text) + len(shown), piece))
            text += shown
        whole = instruction + text.rstrip()
        body: list[int] = []
        slots: list[tuple[int, str]] = []
        last = -1
        for token, at in self._with_words(whole, [(left, right) for left, right, _ in words]):
            if at >= 0 and at == last:
                continue  # a further token of the same word
            if at >= 0:
                slots.append((len(body), words[at][2]))
            last = at
            body.append(token)
        return body, slots

    def _with_words(self, text: str, words: list[tuple[int, int]]) -> list[tuple[int, int]]:
        """The ids of a text, each with the number of the word that it is of; -1 for those of none.

        `words` say where each begins and ends in the text.
        """
        if self._fast:
            read = self.tokenizer(text, add_special_tokens=False, return_offsets_mapping=True)
            spans, ids = read["offset_mapping"], list(read["input_ids"])
        else:  # says no places in the text: there words end with tokens, so that counting tells
            ids = token_ids(self.tokenizer, text)
            words = [(self._count(text[:left].rstrip()), self._count(text[:right])) for left, right in words]
            spans = [(k, k + 1) for k in range(len(ids))]
        return [
            (token, next((k for k, (left, right) in enumerate(words) if begin < right and end > left), -1))
            for token, (begin, end) in zip(ids, spans, strict=True)
        ]

    def _count(self, text: str) -> int:
        return len(token_ids(self.tokenizer, text)) if text else 0

    @property
    def _fast(self) -> bool:
        """Whether the tokenizer says where in a text tokens are. One that does not puts a space before it."""
        return bool(getattr(self.tokenizer, "is_fast", False))

    def _prepared(self, text: str) -> str:
        return text.lower() if self._encoder.lowercase else text

    @cached_property
    def _marks(self) -> tuple[list[int], list[int]]:
        """What the tokenizer puts before and behind a text."""
        if not self._encoder.whole:
            return [self.tokenizer.bos_token_id], [self.tokenizer.eos_token_id]
        bare, marked = token_ids(self.tokenizer, "a"), list(self.tokenizer("a")["input_ids"])
        start = next(k for k in range(len(marked)) if marked[k : k + len(bare)] == bare)
        return marked[:start], marked[start + len(bare) :]

    def _skipped(self, frame: Frame) -> int:
        """Positions of an instruction that the denoiser is not given, as the pipelines count them."""
        if not frame.instruction:
            return 0
        return len(self.tokenizer(frame.instruction)["input_ids"]) - 2

    def _framed(
        self,
        prompt: str,
        body: list[int],
        slots: list[tuple[int, str]],
        biases: dict[str, float],
        frame: Frame,
    ) -> PromptTokens:
        """Between begin and end marks, cut and padded to the full length."""
        begin, end = self._marks
        skipped = self._skipped(frame)
        total = self.length(frame) + skipped
        room = total - len(begin) - len(end)
        beyond = [name for position, name in slots if position >= room]
        if beyond:
            raise PromptError(
                f"<{beyond[0]}> stands past the {room - skipped} tokens this model can read. "
                f"Move it forward or shorten: {prompt}"
            )
        ids = [*begin, *body[:room], *end]
        cut = self.tokenizer.decode(body[room:]).strip() if len(body) > room else ""
        padding = [self.tokenizer.pad_token_id] * (total - len(ids))
        before = len(padding) if self._encoder.left else 0
        padded = padding + ids if before else ids + padding
        placed = [(before + len(begin) + position, name) for position, name in slots]
        return PromptTokens(padded, len(ids), placed, biases, cut, skipped, before)
