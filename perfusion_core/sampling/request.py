"""A generation request, checked, and the concepts and gate biases that it comes to."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from perfusion_core.edit.choices import Lock, Removal, gate_bias
from perfusion_core.errors import PerfusionError, PromptError
from perfusion_core.printable import is_text, printable
from perfusion_core.prompt_grammar import canonical, look_up, parse_prompt
from perfusion_core.sampling.operating_points import check_bias, check_lock

if TYPE_CHECKING:
    from perfusion_core.concept import Concept

LARGEST_SEED = 2**63 - 1
LONGEST_PROMPT = 2000  # characters; a text encoder reads some 77 tokens
MOST_IMAGES = 256
MOST_STEPS = 1000
HIGHEST_GUIDANCE = 100.0
SIDES = (64, 2048)


@dataclass(frozen=True)
class GenerationRequest:
    """Images to make. `None` means the base's own setting (guidance, scheduler, steps, size), the concept's
    (temperature), or `edit.choices.DEFAULT_REMOVAL`, whatever the concept was trained with.

    Image k of `count` has seed `seed + k`. `biases` sets a concept's gate bias by name; a number in the
    prompt (`<name:0.6>`) goes before it, the concept's recommendation comes after it.
    """

    prompt: str
    negative_prompt: str = ""
    seed: int = 0
    count: int = 1
    steps: int | None = None
    guidance: float | None = None
    width: int | None = None
    height: int | None = None
    scheduler: str | None = None
    lock: Lock = "local"
    removal: Removal | None = None
    temperature: float | None = None
    biases: Mapping[str, float] = field(default_factory=dict[str, float])

    def checked(self) -> GenerationRequest:
        """Itself, or `PerfusionError` saying which text or number is out of bounds and what it may be."""
        if not self.prompt.strip():
            raise PromptError("The prompt is empty. Say what the image shows.")
        _check_length("prompt", self.prompt)
        _check_length("negative prompt", self.negative_prompt)
        _check_whole("prompt", self.prompt)
        _check_whole("negative prompt", self.negative_prompt)
        check_lock(self.lock)
        _check_range("seed", self.seed, 0, LARGEST_SEED)
        _check_range("number of images", self.count, 1, MOST_IMAGES)
        _check_range("seed of the last image", self.seed + self.count - 1, 0, LARGEST_SEED)
        _check_range("number of steps", self.steps, 1, MOST_STEPS)
        _check_range("guidance", self.guidance, 0.0, HIGHEST_GUIDANCE)
        _check_range("temperature", self.temperature, 0.001, 10.0)
        _check_range("width", self.width, *SIDES)
        _check_range("height", self.height, *SIDES)
        for name, bias in self.biases.items():
            check_bias(bias, name)
        return self


@dataclass(frozen=True)
class Row:
    """One image of a batch: its seed, every concept's gate bias, and its own prompt where it has one."""

    seed: int
    biases: Mapping[str, float]
    prompt: str | None = None


def concepts_in(prompts: Iterable[str], concepts: Mapping[str, Concept]) -> dict[str, Concept]:
    """The concepts that prompts name, in their order, by name.

    Raises `PromptError` for a placeholder that is none of `concepts`, naming those there are.
    """
    by_name = {canonical(concept.name): concept for concept in concepts.values()}
    found = look_up(prompts, by_name.get, by_name.keys)
    return {concept.name: concept for concept in found.values()}


def resolve_biases(request: GenerationRequest, used: Mapping[str, Concept]) -> dict[str, float]:
    """The gate bias of each used concept: the number in the prompt (or, for a concept that stands in the
    negative prompt alone, there), else the request's, else its own, else the default.
    """
    prompt, negative = parse_prompt(request.prompt), parse_prompt(request.negative_prompt)
    named = {canonical(mention.name) for mention in prompt.mentions}
    elsewhere = {name: bias for name, bias in negative.biases().items() if name not in named}
    written = {**elsewhere, **prompt.biases()}
    given = {canonical(name): bias for name, bias in request.biases.items()}
    return {
        name: check_bias(
            gate_bias(
                request.lock,
                concept.metadata.bias,
                written=written.get(canonical(name)),
                given=given.get(canonical(name)),
            ),
            name,
        )
        for name, concept in used.items()
    }


def _check_length(what: str, text: str) -> None:
    if len(text) > LONGEST_PROMPT:
        raise PromptError(
            f"The {what} has {len(text)} characters; at most {LONGEST_PROMPT} are accepted. Shorten it."
        )


def _check_whole(what: str, text: str) -> None:
    if not is_text(text):  # half a character, as from a terminal that is not set to UTF-8
        raise PromptError(
            f"The {what} has a character that is not whole: {printable(text)[:200]}. Type it anew."
        )


def _check_range(what: str, value: float | None, low: float, high: float) -> None:
    if value is not None and not low <= value <= high:  # also refuses NaN
        raise PerfusionError(f"The {what} is {value}; it has to be between {low} and {high}.")
