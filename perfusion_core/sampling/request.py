"""What a person asks for, checked, and what it comes to once the concepts have had their say."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from perfusion_core.errors import PerfusionError, PromptError
from perfusion_core.sampling.operating_points import Lock, Removal, check_bias, check_lock, default_bias

if TYPE_CHECKING:
    from perfusion_core.concept import Concept
    from perfusion_core.model.text import ParsedPrompt

LARGEST_SEED = 2**63 - 1
LONGEST_PROMPT = 2000  # characters; a text encoder reads some 77 tokens
MOST_IMAGES = 256
SIDES = (64, 2048)


@dataclass(frozen=True)
class GenerationRequest:
    """Images to make. `None` means the base's (guidance, scheduler, steps, size) or the concept's own
    setting.

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
        check_lock(self.lock)
        _check_range("seed", self.seed, 0, LARGEST_SEED)
        _check_range("number of images", self.count, 1, MOST_IMAGES)
        _check_range("seed of the last image", self.seed + self.count - 1, 0, LARGEST_SEED)
        _check_range("number of steps", self.steps, 1, 1000)
        _check_range("guidance", self.guidance, 0.0, 100.0)
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


def concepts_in(prompt: ParsedPrompt, concepts: Mapping[str, Concept]) -> dict[str, Concept]:
    """The concepts a prompt names, in its order, by canonical name.

    Raises `PromptError` for a placeholder that is none of `concepts`, naming those there are.
    """
    by_name = {concept.name.casefold(): concept for concept in concepts.values()}
    found: dict[str, Concept] = {}
    for mention in prompt.mentions:
        concept = by_name.get(mention.name.casefold())
        if concept is None:
            known = ", ".join(f"<{c.name}>" for c in by_name.values()) or "none"
            raise PromptError(
                f"The prompt names <{mention.name}>, which is not a concept here (there: {known}). "
                "Correct the name, or teach or import the concept first."
            )
        found[concept.name] = concept
    return found


def resolve_biases(
    request: GenerationRequest, prompt: ParsedPrompt, used: Mapping[str, Concept]
) -> dict[str, float]:
    """The gate bias of each used concept: the prompt's number, else the request's, else its own, else the
    default.
    """
    asked = {name.casefold(): bias for name, bias in request.biases.items()}
    written: dict[str, float] = {}
    for mention in prompt.mentions:
        if mention.bias is None:
            continue
        bias = check_bias(mention.bias, mention.name)
        if written.setdefault(mention.name.casefold(), bias) != bias:
            raise PromptError(f"<{mention.name}> has two different numbers in one prompt. Give it one.")
    return {
        name: written.get(
            name.casefold(),
            asked.get(name.casefold(), concept.metadata.bias.get(request.lock, default_bias(request.lock))),
        )
        for name, concept in used.items()
    }


def without_numbers(prompt: ParsedPrompt, used: Mapping[str, Concept]) -> str:
    """The prompt with `<name>` for `<name:0.6>`: the numbers have been read and are handed on as biases."""
    names = {name.casefold(): name for name in used}
    return "".join(p if isinstance(p, str) else f"<{names[p.name.casefold()]}>" for p in prompt.pieces)


def with_numbers(prompt: ParsedPrompt, biases: Mapping[str, float]) -> str:
    """The prompt with each number it carried brought up to date, so that it says what was done."""
    by_name = {name.casefold(): bias for name, bias in biases.items()}
    return "".join(
        p
        if isinstance(p, str)
        else p.source
        if p.bias is None
        else f"<{p.name}:{by_name[p.name.casefold()]:g}>"
        for p in prompt.pieces
    )


def _check_length(what: str, text: str) -> None:
    if len(text) > LONGEST_PROMPT:
        raise PromptError(
            f"The {what} has {len(text)} characters; at most {LONGEST_PROMPT} are accepted. Shorten it."
        )


def _check_range(what: str, value: float | None, low: float, high: float) -> None:
    if value is not None and not low <= value <= high:  # also refuses NaN
        raise PerfusionError(f"The {what} is {value}; it has to be between {low} and {high}.")
