"""Replaces a pipeline's `encode_prompt`: encodes prompts with concepts and sets up the edit for them."""

from __future__ import annotations

import inspect
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import torch
from diffusers.utils.peft_utils import scale_lora_layers, unscale_lora_layers

from perfusion_core.edit.choices import DEFAULT_REMOVAL, LOCKS, gate_bias
from perfusion_core.errors import PromptError
from perfusion_core.model.anchoring import known_similarities, without_own_word
from perfusion_core.model.families.registry import family_of
from perfusion_core.model.reading import as_read
from perfusion_core.model.text import Frame, PromptEncoder, PromptEncoding, frame_of
from perfusion_core.prompt_grammar import canonical

if TYPE_CHECKING:
    from perfusion_core.concept import Concept
    from perfusion_core.edit.choices import Lock, Removal
    from perfusion_core.model.inject import Injection

Biases = Mapping[str, float | Sequence[float]]


class PromptConditioning:
    """Encodes a pipeline's prompts with concepts and tells the injection what to do to them.

    `encoding` is the last PromptEncoding (None before the first call, or when embeddings were passed in):
    callers read from it what was cut off and which concepts stand where. `unread` says in words which edited
    projections the last call left out, "" for none.
    """

    def __init__(
        self,
        pipe: Any,
        injection: Injection,
        concepts: Sequence[Concept],
        *,
        lock: Lock,
        removal: Removal | None,
        biases: Biases,
        temperature: float | Mapping[str, float] | None,
        anchored: bool,
    ) -> None:
        if lock not in LOCKS:
            raise PromptError(f"There is no lock called {lock}. Use local or global.")
        self.injection = injection
        self.encoding: PromptEncoding | None = None
        self.unread = ""
        self._pipe = pipe
        self._family = family_of(pipe)
        self._original: Callable[..., Any] = pipe.encode_prompt
        self._signature = inspect.signature(self._original)
        self._encoder = PromptEncoder(pipe)
        self._concepts = {concept.name: concept for concept in concepts}
        self._lock: Lock = lock
        self._removal: Removal = removal or DEFAULT_REMOVAL
        self._biases = {_known(name, self._concepts): bias for name, bias in biases.items()}
        self._anchored = anchored
        self._unworded = without_own_word(concepts, self._encoder, injection.inverse_covariance)
        self._temperature = torch.tensor([_temperature_of(c, temperature) for c in concepts])

    def encode_prompt(self, *args: Any, **kwargs: Any) -> tuple[torch.Tensor | None, ...]:
        """Called by the pipeline with the arguments of its own `encode_prompt`; returns what that returns."""
        self.injection.require_read()
        call = self._signature.bind(*args, **kwargs)
        call.apply_defaults()
        asked = call.arguments
        self._require_one_prompt(asked)
        with self._text_lora_scale(asked.get("lora_scale")):
            positive = self._positive(asked)
            negative = self._negative(asked, positive)
        self.encoding = positive if asked.get("prompt_embeds") is None else None
        guided = bool(asked.get("do_classifier_free_guidance", False))
        copies = int(asked.get("num_images_per_prompt") or 1)
        asked.update(self._given("", positive, copies), prompt=None, num_images_per_prompt=1)
        if "negative_prompt_embeds" in self._family.returned:
            asked.update(self._given("negative_", negative, copies), negative_prompt=None)
        dtype = getattr(self._pipe, self._family.denoiser).dtype
        returned = dict(zip(self._family.returned, self._original(*call.args, **call.kwargs), strict=True))
        for name, tensor in returned.items():
            if tensor is not None and tensor.is_floating_point():
                returned[name] = tensor.to(dtype)
        halves = ["negative_prompt_embeds", "prompt_embeds"] if guided else ["prompt_embeds"]
        read = [returned[half] for half in halves]
        self._set_context([negative, positive] if guided else [positive], read, copies)
        return tuple(returned.values())

    def _given(self, prefix: str, prompts: PromptEncoding, copies: int) -> dict[str, torch.Tensor]:
        """What the pipeline's own `encode_prompt` takes in place of prompts, a row an image."""
        found = {
            f"{prefix}prompt_embeds": prompts.given,
            f"{prefix}prompt_attention_mask": prompts.mask,
            f"{prefix}pooled_prompt_embeds": prompts.pooled,
        }
        return {
            name: tensor.repeat_interleave(copies, dim=0)
            for name, tensor in found.items()
            if name in self._family.returned and tensor is not None
        }

    def _require_one_prompt(self, asked: Mapping[str, Any]) -> None:
        for name in ("prompt", "negative_prompt"):
            other = asked.get(f"{name}_2")
            if other is not None and other != asked.get(name) and self._concepts:
                raise PromptError(
                    f"With concepts, both text encoders read one prompt. Leave {name}_2 out, or give it the "
                    f"text of {name}."
                )

    def finish(self) -> None:
        """Called when the pipeline has made its images: whatever comes next needs a context of its own.

        Warns where attentions did not read the text through their edited projections.
        """
        self.unread = ""
        if self.injection.context is not None and (unused := self.injection.uncalled()):
            self.unread = (
                f"{len(unused)} of {len(self.injection.projections)} edited projections were not "
                f"used, such as {unused[0].path}: an attention processor or another denoiser passes them "
                "by, and the concepts act too little."
            )
            warnings.warn(self.unread, stacklevel=3)
        self.injection.set_context(None)

    def _positive(self, asked: Mapping[str, Any]) -> PromptEncoding:
        if asked.get("prompt_embeds") is None:
            return self._encode(asked["prompt"], asked)
        if self._lock == "global" and self._concepts:
            raise PromptError("The global lock needs the prompt as text. Pass prompt, not prompt_embeds.")
        return self._passed_in("", asked)

    def _negative(self, asked: Mapping[str, Any], positive: PromptEncoding) -> PromptEncoding:
        if asked.get("negative_prompt_embeds") is not None:
            return self._passed_in("negative_", asked)
        count = len(positive.given)
        prompt = asked.get("negative_prompt")
        if prompt is None:
            prompt = self._family.negative(self._pipe) or None
        if prompt is None and getattr(self._pipe.config, "force_zeros_for_empty_prompt", False):
            return self._zeros(positive)
        prompts = [prompt or ""] * count if prompt is None or isinstance(prompt, str) else list(prompt)
        if len(prompts) != count:
            raise PromptError(
                f"There are {count} prompts but {len(prompts)} negative prompts. Give as many of each."
            )
        return self._encode(prompts, asked, positive=False)

    def _encode(
        self, prompt: str | Sequence[str], asked: Mapping[str, Any], *, positive: bool = True
    ) -> PromptEncoding:
        """Prompts, or negative ones: those may be empty, and have neither clip_skip nor an instruction."""
        prompts = [prompt] if isinstance(prompt, str) else list(prompt)
        if hasattr(self._pipe, "maybe_convert_prompt"):  # textual inversions of several vectors
            prompts = self._pipe.maybe_convert_prompt(prompts, self._pipe.tokenizer)
        frame = frame_of(asked, self._family.encoders[0])
        return self._encoder.encode(
            prompts,
            self._concepts,
            clip_skip=asked.get("clip_skip") if positive else None,
            superclass=self._lock == "global",
            allow_empty=not positive,
            frame=frame if positive else Frame(frame.length),
            beside_superclass=[n for n, c in self._concepts.items() if c.metadata.beside_superclass],
        )

    def _passed_in(self, prefix: str, asked: Mapping[str, Any]) -> PromptEncoding:
        """Encodings the caller made: nothing is known of the words in them."""
        given = asked[f"{prefix}prompt_embeds"].float()
        mask = asked.get(f"{prefix}prompt_attention_mask")
        if mask is None and self._family.encoders[0].zeroed:
            mask = (given != 0).any(dim=-1)
        return self._without_words(given, mask, asked.get(f"{prefix}pooled_prompt_embeds"))

    def _zeros(self, positive: PromptEncoding) -> PromptEncoding:
        """What the pipeline takes for no negative prompt."""
        pooled = None if positive.pooled is None else torch.zeros_like(positive.pooled)
        return self._without_words(torch.zeros_like(positive.given), positive.mask, pooled)

    def _without_words(
        self, given: torch.Tensor, mask: torch.Tensor | None, pooled: torch.Tensor | None
    ) -> PromptEncoding:
        encoding = as_read(getattr(self._pipe, self._family.denoiser), self._family.reader, given)
        rows = range(len(given))
        positions: list[dict[str, list[int]]] = [{} for _ in rows]
        biases: list[dict[str, float]] = [{} for _ in rows]
        return PromptEncoding(encoding, encoding, positions, biases, ["" for _ in rows], given, mask, pooled)

    @contextmanager
    def _text_lora_scale(self, scale: float | None) -> Iterator[None]:
        """Scale LoRA layers of the text encoders for one encoding, as the pipeline would."""
        encoders = [encoder.module for encoder in self._encoder.encoders] if scale is not None else []
        for encoder in encoders:
            scale_lora_layers(encoder, scale)
        try:
            yield
        finally:
            for encoder in encoders:
                unscale_lora_layers(encoder, scale)

    def _set_context(
        self, halves: Sequence[PromptEncoding], read: Sequence[torch.Tensor], images_per_prompt: int
    ) -> None:
        """Set the context of a batch: its halves are the positive rows, or negative and positive ones.

        Shape: read, for each half (b, T, D'), what the denoiser will be given.
        """
        if not self._concepts:
            return
        images = len(read[0])

        def rows(tensors: list[torch.Tensor]) -> torch.Tensor:
            return torch.cat(tensors).repeat_interleave(images_per_prompt, dim=0)

        masks = [half.mask for half in halves if half.mask is not None]
        keys = rows([half.superclass_encoding for half in halves]) if self._lock == "global" else None
        with torch.no_grad():
            known = [known_similarities(half, [*self._concepts.values()], self._unworded) for half in halves]
            context = self.injection.context_for(
                rows([half.encoding for half in halves]),
                bias=self._row_biases(halves, images_per_prompt),
                temperature=self._temperature,
                removal=self._removal,
                key_encoding=keys,
                known=rows(known) if self._anchored else None,
                present=rows(masks) if len(masks) == len(halves) else None,
                expected=torch.cat(list(read)),
                positive=images * (len(halves) - 1),
                negative=read[0] if len(halves) > 1 else None,
            )
        self.injection.set_context(context)

    def _row_biases(self, halves: Sequence[PromptEncoding], images_per_prompt: int) -> torch.Tensor:
        """The gate bias of every row of the batch and every concept. Shape: (B, n).

        An image has its gates in its negative row too, so that it is the same alone and in a batch; a number
        written in the negative prompt goes before that, for the negative row.
        """
        rows = torch.tensor(
            [self._image_biases(name, halves[-1], images_per_prompt) for name in self._concepts]
        )
        if len(halves) == 1:
            return rows.T
        negative = rows.clone()
        for column, name in enumerate(self._concepts):
            for row, written in enumerate(halves[0].bias_overrides):
                if name in written:
                    negative[column, row * images_per_prompt : (row + 1) * images_per_prompt] = written[name]
        return torch.cat([negative, rows], dim=1).T

    def _image_biases(self, name: str, half: PromptEncoding, images_per_prompt: int) -> list[float]:
        """The gate bias of a concept in every image."""
        given = self._biases.get(name)
        images = len(half.bias_overrides) * images_per_prompt
        if isinstance(given, Sequence):
            if len(given) != images:
                raise PromptError(f"{name} has {len(given)} biases for {images} images. Give one per image.")
            return [float(bias) for bias in given]
        recommended = self._concepts[name].metadata.bias
        return [
            gate_bias(self._lock, recommended, written=written.get(name), given=given)
            for written in half.bias_overrides
            for _ in range(images_per_prompt)
        ]


def _known(name: str, concepts: Mapping[str, Concept]) -> str:
    for known in concepts:
        if canonical(known) == canonical(name):
            return known
    raise PromptError(
        f"A gate bias was given for {name}, which is not among the concepts: {', '.join(concepts)}."
    )


def _temperature_of(concept: Concept, given: float | Mapping[str, float] | None) -> float:
    if isinstance(given, Mapping):
        return float(given.get(concept.name, concept.metadata.temperature))
    return float(concept.metadata.temperature if given is None else given)
