"""What differs between kinds of base models, as data. Importing this needs neither torch nor diffusers.

One `Family` a kind: the rest of the project reads it and asks nothing else about the kind of a model.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

States = Literal["last", "penultimate"]
# (encoder, ids (B, T), mask (B, T), 1 where a token is no padding) -> states (B, T, E), pooled (B, P) or None
Read = Callable[[Any, Any, Any], tuple[Any, Any]]


@dataclass(frozen=True)
class Encoder:
    """One text encoder of a pipeline, and how its states become text for the denoiser.

    part, tokenizer: the pipeline's attributes. table: path of the token embedding in the encoder, where it is
    not what `get_input_embeddings` returns. states: the last hidden states or those before the last layer
    (without the final norm). pooled: its pooled output goes to the denoiser too. masked: it is told which
    tokens are padding. zeroed: the pipeline sets its states of padding to zero, and the denoiser reads those
    unmasked. whole: a word's tokens depend on the space before it, so that a prompt is tokenised
    in one piece. lowercase: the pipeline makes a prompt lower case and strips it. large: more than a thousand
    million weights, read from disk in half precision and computed in bfloat16 except on a CPU. left: padding
    stands before the text, and the encoder is told which it is. classes: the encoder's, where they tell the
    family from others with the same parts. read: runs an encoder that is not called as transformers' are.
    length_argument, instruction_argument: the pipeline's arguments for the number of tokens and for a text
    that is put before every prompt.
    """

    part: str = "text_encoder"
    tokenizer: str = "tokenizer"
    table: str = ""
    states: States = "last"
    pooled: bool = False
    masked: bool = False
    zeroed: bool = False
    whole: bool = False
    lowercase: bool = False
    large: bool = False
    left: bool = False
    classes: tuple[str, ...] = ()
    read: Read | None = None
    length_argument: str = ""
    instruction_argument: str = ""


@dataclass(frozen=True)
class TextInputs:
    """What a denoiser is given of a text.

    Shape: encoding (B, T, D'), mask (B, T) or None, pooled (B, P) or None.
    """

    encoding: Any
    mask: Any = None
    pooled: Any = None


# Keyword arguments for a denoiser, beside noisy latents and time: of (pipeline, text, (height, width)).
Arguments = Callable[[Any, TextInputs, tuple[int, int]], dict[str, Any]]


def _no_options(_steps: int) -> dict[str, Any]:
    return {}


def _nothing(_pipeline: Any) -> str:
    return ""


def _as_configured(config: Any) -> Any:
    return config.sample_size


def _unchanged(_pipeline: Any, image: Any) -> Any:
    return image


def _thousand(_pipeline: Any) -> float:
    return 1000.0


def _text_only(_pipeline: Any, text: TextInputs, _size: tuple[int, int]) -> dict[str, Any]:
    return {"encoder_hidden_states": text.encoding}


@dataclass(frozen=True)
class Scheduler:
    """A class of diffusers, what to set in its configuration, and what that calls the shift of a flow."""

    class_name: str
    settings: Mapping[str, Any]
    shift: str = ""


@dataclass(frozen=True)
class Family:
    """Everything that is peculiar to one kind of base model.

    name, title         as concept files and people call it
    pipelines           class in a model_index.json -> class of diffusers that it is loaded as
    denoiser            the pipeline's attribute; its class is one of `denoiser_classes` (any, where empty)
    encoders            the text encoders that a word is learned in; their states are joined in width
    reader              modules of the denoiser that the text passes before the projections read it; i*, C and
                        the gates live behind them, in what the projections read
    returned            what the pipeline's `encode_prompt` returns, by the names of its arguments
    prediction          what the denoiser predicts, where its scheduler does not say it in our words
    flow_time           the time of pure noise, as the denoiser of a flow counts it
    arguments           what the denoiser is told beside noisy latents and time
    options             what the pipeline is told for images of so many steps, beside what all are told
    loading             what diffusers is told when it loads one, such as parts to leave out
    frames              whether its denoiser takes videos, of which an image is one frame
    guided_apart        whether the pipeline calls the denoiser for prompts and negative prompts in turn, not
                        for both in one batch
    negative            what the pipeline takes for no negative prompt
    sample_size         latent pixels on a side of the image it was made for, of the denoiser's configuration
    finished            what the pipeline does to a finished image, as its licence wants it; None where it
                        withholds the image
    packages            packages beyond the project's own without which diffusers cannot load one
    half                the half precision that its numbers fit into
    full_decoder        whether its autoencoder stays in float32 where float16 was chosen, because that
                        overflows: never, always, or where its configuration says so (`force_upcast`)
    problem             why a pipeline of the family cannot be edited after all; "" where it can
    sampling            scheduler, steps and guidance where nothing was asked for; "own" is the base's own
    small_sampling      the same for bases that make no images above 256 pixels, where it differs
    schedulers          those that can be asked for by name, beside its own; None: all of the usual ones
    teaching            settings of a recipe that differ from Stable Diffusion's
    kept                GiB that one example of a training step keeps for its backward pass, at 1024 pixels in
                        half precision, as it is and with gradient checkpointing; None where it was measured
    coding              GiB that its autoencoder takes at most for one image of 1024 pixels, in float32 and in
                        half precision, beside its weights
    captions            how many captions the statistics are taken from; None for all
    concept_format      the format of its concept files
    guidance_in_denoiser  whether the denoiser is told how much guidance, instead of being run twice
    """

    name: str
    title: str
    pipelines: Mapping[str, str]
    denoiser: str
    denoiser_classes: tuple[str, ...] = ()
    encoders: tuple[Encoder, ...] = (Encoder(),)
    reader: tuple[str, ...] = ()
    returned: tuple[str, ...] = ("prompt_embeds", "negative_prompt_embeds")
    prediction: str = ""
    flow_time: Callable[[Any], float] = _thousand
    arguments: Arguments = _text_only
    options: Callable[[int], dict[str, Any]] = _no_options
    loading: Mapping[str, Any] = field(default_factory=dict[str, Any])
    frames: bool = False
    guided_apart: bool = False
    negative: Callable[[Any], str] = _nothing
    sample_size: Callable[[Any], Any] = _as_configured
    finished: Callable[[Any, Any], Any] = _unchanged
    packages: tuple[str, ...] = ()
    half: Literal["float16", "bfloat16"] = "float16"
    full_decoder: Literal["never", "configured", "always"] = "never"
    problem: Callable[[Any], str] = _nothing
    sampling: tuple[str, int, float] = ("dpm++", 25, 7.5)
    small_sampling: tuple[str, int, float] | None = None
    schedulers: Mapping[str, Scheduler] | None = None
    teaching: Mapping[str, Any] = field(default_factory=dict[str, Any])
    kept: tuple[float, float] | None = None
    coding: tuple[float, float] = (3.0, 1.5)  # AutoencoderKL's, computed: benchmarks.teach_memory
    captions: int | None = None
    concept_format: int = 2
    guidance_in_denoiser: bool = False

    @property
    def parts(self) -> tuple[str, ...]:
        """The parts of a pipeline that have weights."""
        return (self.denoiser, "vae", *(encoder.part for encoder in self.encoders))

    def concept_facts(self, encoder_fingerprints: Mapping[str, str]) -> dict[str, Any]:
        """What a concept's metadata says of the family, beyond what format 1 knows."""
        if self.concept_format == 1:
            return {}
        return {"format_version": 2, "family": self.name, "encoders": dict(encoder_fingerprints)}
