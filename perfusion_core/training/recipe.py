"""How a concept is taught: every setting in one frozen place, and presets by base model and memory."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from typing import Any, Literal, Protocol, get_args

from perfusion_core.edit.choices import Removal
from perfusion_core.errors import TrainingError
from perfusion_core.training.batch_size import fit

Keys = Literal["locked", "trained"]
Masks = Literal["auto", "none", "given"]
Precision = Literal["auto", "float32", "bfloat16", "float16"]
Pace = Literal["balanced", "quick"]
Setting = str | int | float | bool

PLACE = "{}"
MAX_PROMPTS_LENGTH = 500  # what a concept file takes of one setting
_JOINT = " | "
# Short and neutral: whatever else a template said would be learned as part of the concept. With and without
# an article, because people write both "a photo of <biscuit>" and "a photo of a <biscuit>".
TEMPLATES = (
    "a photo of a {}",
    "a photo of {}",
    "a picture of a {}",
    "a picture of {}",
    "a photo of the {}",
    "a photo of my {}",
    "a picture of the {}",
    "a picture of my {}",
    "a good photo of a {}",
    "a photo of one {}",
    "a close photo of a {}",
    "a {}",
)
# With an article, as captions have it: without one the bundled base draws something else as often as not.
VALIDATION_PROMPTS = (
    "a photo of a {}",
    "a photo of a {} on the beach",
    "a photo of a {} in the snow",
    "a photo of a {} in the forest",
    "a photo of a red {}",
    "a photo of a {} wearing a crown",
    "a pencil sketch of a {}",
    "a photo of a {} next to a house",
)


class Description(Protocol):
    """The facts about a base model that a preset depends on."""

    @property
    def text_width(self) -> int: ...
    @property
    def image_size(self) -> int: ...
    @property
    def distilled(self) -> str | None: ...


@dataclass(frozen=True)
class Recipe:
    """Settings of one teaching.

    steps: optimizer steps; each sees `batch_size * accumulation` examples. value_rate, embedding_rate:
    learning rates of o*_V and of the word embedding; warmup: steps over which both rise to that. clarity:
    weight of keeping the concept's word apart from its neighbours, 0 for not at all (see clarity.py).
    decay: what i* keeps of itself at an optimizer step. bias, temperature, removal: the gate while
    training; inference_temperature: the gate's temperature stored for drawing. keys "trained" learns o*_K
    too (the paper's ablation). resolution in pixels. flip: also learn from mirrored photos (off for
    subjects whose sides differ). checkpoint_every: steps between checkpoints, each scored on
    `validation_prompts` generated in `validation_steps` denoising steps at `validation_guidance` (None: the
    base's own).
    """

    steps: int = 400
    batch_size: int = 16
    accumulation: int = 1
    value_rate: float = 0.03
    embedding_rate: float = 0.006
    warmup: int = 0
    clarity: float = 0.0
    decay: float = 0.99
    bias: float = 0.75
    temperature: float = 0.1
    inference_temperature: float = 0.15
    removal: Removal = "paper"
    keys: Keys = "locked"
    resolution: int = 512
    flip: bool = True
    mask: Masks = "auto"
    seed: int = 0
    checkpoint_every: int = 25
    templates: tuple[str, ...] = TEMPLATES
    validation_prompts: tuple[str, ...] = VALIDATION_PROMPTS
    validation_steps: int = 20
    validation_guidance: float | None = None
    precision: Precision = "auto"
    gradient_checkpointing: bool = False

    @classmethod
    def preset(
        cls,
        description: Description,
        memory: float | None = None,
        *,
        pace: Pace = "balanced",
        full_precision: bool = False,
        **overrides: Any,
    ) -> Recipe:
        """The settings measured for this kind of base.

        `memory` is what the device has free beside the weights, in GiB; None means enough. `full_precision`:
        the denoiser computes in float32. At the pace "quick" it takes half the steps. `overrides` replace
        single settings. Where `steps` alone differ, the decay of i* follows, so that i* forgets the
        superclass just as well. Raises TrainingError for a setting that does not exist or cannot be.
        """
        unknown = sorted(set(overrides) - {field.name for field in fields(cls)})
        if unknown:
            raise TrainingError(f"There is no setting {unknown[0]!r}. Settings are: {', '.join(_names())}.")
        small = description.text_width < SMALL_TEXT_WIDTH
        settings = dict(POCKET) if small else dict(STABLE_DIFFUSION)
        if description.distilled:
            settings["validation_steps"] = FEW_STEPS
        if memory is not None and not small:
            resolution = overrides.get("resolution", description.image_size)
            found = fit(memory, resolution, settings["batch_size"], full_precision=full_precision)
            settings |= found._asdict()
        steps = -(-settings["steps"] // 2) if pace == "quick" else settings["steps"]
        chosen: dict[str, Any] = settings | {"resolution": description.image_size, "steps": steps} | overrides
        recipe = cls(**chosen).validated()
        if recipe.steps != settings["steps"] and "decay" not in overrides:
            lag = (1 - settings["decay"]) * settings["steps"]
            recipe = recipe.changed(decay=max(0.0, 1 - lag / recipe.steps))
        return recipe

    def validated(self) -> Recipe:
        """Itself, or a TrainingError that names the setting and what it may be."""
        for name, low, high in _RANGES:
            value = getattr(self, name)
            if value is None and name == "validation_guidance":
                continue
            whole = name in _WHOLE
            if isinstance(value, bool) or not isinstance(value, int if whole else (int, float)):
                raise TrainingError(f"{name} must be a {'whole ' if whole else ''}number, not {value!r}.")
            if not low <= value <= high:
                raise TrainingError(f"{name} is {value}; choose a value from {low} to {high}.")
        for name, choices in _CHOICES.items():
            if getattr(self, name) not in choices:
                raise TrainingError(f"{name} is {getattr(self, name)!r}; choose one of {', '.join(choices)}.")
        for name in ("flip", "gradient_checkpointing"):
            if not isinstance(getattr(self, name), bool):
                raise TrainingError(f"{name} is {getattr(self, name)!r}; choose true or false.")
        for name in ("templates", "validation_prompts"):
            for line in getattr(self, name):
                if line.count(PLACE) != 1 or any(sign in line for sign in "\n<>|"):
                    raise TrainingError(
                        f"{name}: write {PLACE} once for the concept, on one line without < > |, in {line!r}."
                    )
            if len(_JOINT.join(getattr(self, name))) > MAX_PROMPTS_LENGTH:
                raise TrainingError(
                    f"{name} are longer than {MAX_PROMPTS_LENGTH} letters together. Use fewer."
                )
        if not self.templates:
            raise TrainingError("templates is empty. Give at least one, for example “a photo of a {}”.")
        return self

    def changed(self, **changes: Any) -> Recipe:
        """A checked copy with some settings replaced."""
        return replace(self, **changes).validated()

    def to_dict(self) -> dict[str, Setting]:
        """Plain settings for a concept file; lists of prompts become one line of text."""
        given = {name: value for name, value in asdict(self).items() if value is not None}
        return {k: _JOINT.join(v) if isinstance(v, tuple) else v for k, v in given.items()}

    @classmethod
    def from_dict(cls, settings: Mapping[str, Any]) -> Recipe:
        """The reverse of `to_dict`; missing settings take their defaults. Raises TrainingError."""
        unknown = sorted(set(settings) - set(_names()))
        if unknown:
            raise TrainingError(f"There is no setting {unknown[0]!r}. Settings are: {', '.join(_names())}.")
        read = dict(settings)
        for name in ("templates", "validation_prompts"):
            if isinstance(read.get(name), str):
                read[name] = tuple(line for line in read[name].split(_JOINT) if line)
        return cls(**read).validated()


# The paper's settings for Stable Diffusion 1.x.
STABLE_DIFFUSION: dict[str, Any] = {
    "steps": 400,
    "batch_size": 16,
    "value_rate": 0.03,
    "embedding_rate": 0.006,
    "decay": 0.99,
    "bias": 0.75,
    "temperature": 0.1,
    "checkpoint_every": 25,
}

# For the bundled small model, measured on its held-out examples with its own CLIP. The values learn the
# thing and the word stays near its superclass: its embedding is 0.025 in size, so at a rate of 0.003 it moved
# by twice its own length and carried the likeness itself, and with every gate shut the picture was still
# another one. Taught at the gate it is drawn with, since a lower bias opens tokens that a narrower gate never
# let the values learn for. At 40 steps the colours and something of the shape have come over; at 80 the
# subject falls into blocks.
POCKET: dict[str, Any] = {
    "steps": 40,
    "batch_size": 8,
    "value_rate": 0.03,
    "embedding_rate": 0.0005,
    "clarity": 0.1,
    "decay": 0.78,
    "bias": 0.6,
    "temperature": 0.15,
    "removal": "gated",
    "checkpoint_every": 10,
    "validation_steps": 8,
}

FEW_STEPS = 4  # in which a distilled base (SD-Turbo, LCM) makes an image

SMALL_TEXT_WIDTH = 512  # Stable Diffusion's encoders are 768 and 1024 wide, the bundled one 192


_RANGES: tuple[tuple[str, float, float], ...] = (
    ("steps", 1, 10_000),
    ("batch_size", 1, 256),
    ("accumulation", 1, 256),
    ("value_rate", 0.0, 1.0),
    ("embedding_rate", 0.0, 1.0),
    ("warmup", 0, 10_000),
    ("clarity", 0.0, 1000.0),
    ("decay", 0.0, 0.9999),
    ("bias", -10.0, 10.0),
    ("temperature", 0.001, 10.0),
    ("inference_temperature", 0.001, 10.0),
    ("resolution", 64, 2048),
    ("seed", 0, 2**63 - 1),
    ("checkpoint_every", 1, 10_000),
    ("validation_steps", 1, 1000),
    ("validation_guidance", 0.0, 100.0),
)
_WHOLE = frozenset(
    {
        "steps",
        "batch_size",
        "accumulation",
        "warmup",
        "resolution",
        "seed",
        "checkpoint_every",
        "validation_steps",
    }
)
_CHOICES: dict[str, tuple[str, ...]] = {
    "removal": get_args(Removal),
    "keys": get_args(Keys),
    "mask": get_args(Masks),
    "precision": get_args(Precision),
}


def _names() -> list[str]:
    return [field.name for field in fields(Recipe)]
