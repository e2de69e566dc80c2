"""How a concept is trained: all settings in one frozen dataclass, and presets by base model and memory."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from typing import Any, Literal, Protocol

from perfusion_core.container import shown
from perfusion_core.edit.choices import Removal
from perfusion_core.errors import TrainingError
from perfusion_core.model.families.description import Family
from perfusion_core.recipe_rules import (
    JOINT,
    Keys,
    Masks,
    Neighbours,
    Precision,
    Setting,
    WordNorm,
    settings_problem,
)
from perfusion_core.training.batch_size import fit

Pace = Literal["balanced", "quick"]

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
# With an article, as captions have it: without one the bundled base often generates something else.
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
    def family(self) -> Family: ...
    @property
    def text_width(self) -> int: ...
    @property
    def image_size(self) -> int: ...
    @property
    def few_steps(self) -> FewSteps | None: ...


class FewSteps(Protocol):
    """Of a base that makes images in a few steps: in how many."""

    @property
    def steps(self) -> int: ...


@dataclass(frozen=True)
class Recipe:
    """Settings of one training run.

    steps: optimizer steps; each sees `batch_size * accumulation` examples. value_rate, embedding_rate:
    learning rates of o*_V and of the word embedding; offset_rate: of a shift in encoding space that all
    layers' values share, 0 for none, and prior: the weight of keeping what they share like a word (see
    learned.py); warmup: steps over which all rates rise to that; cooldown: share of the steps, the last
    ones, over which they fall to zero. clarity: weight of keeping the concept's word apart from its
    neighbours, 0 for not at all (see clarity.py). decay: what i* keeps of itself at an optimizer step. bias,
    temperature, removal: the gate while training; inference_temperature: the gate's temperature stored for
    generation. word_norm "vocabulary" holds the word embedding at the mean norm of the vocabulary and learns
    its direction alone (see learned.py). background: what a pixel outside the subject's mask counts in the
    loss against one inside; at 0 (the paper) nothing says that the subject ends there. noise_from, noise_to:
    the stretch of the noise schedule that is taught, from 0, no noise, to 1, nothing else. keys "trained"
    learns o*_K too (the paper's ablation). neighbours "superclass" encodes the other words of a prompt beside
    the superclass word, so that they cannot carry the concept (LaTexBlend's base flow), while teaching and in
    generation. resolution in pixels. flip: also learn from mirrored photos (off for subjects whose sides
    differ). checkpoint_every: steps between checkpoints, each scored on `validation_prompts` generated in
    `validation_steps` denoising steps at `validation_guidance` (None: the base's own).
    """

    steps: int = 400
    batch_size: int = 16
    accumulation: int = 1
    value_rate: float = 0.03
    embedding_rate: float = 0.006
    offset_rate: float = 0.0
    prior: float = 0.0
    warmup: int = 0
    cooldown: float = 0.0
    clarity: float = 0.0
    decay: float = 0.99
    bias: float = 0.75
    temperature: float = 0.1
    inference_temperature: float = 0.15
    removal: Removal = "paper"
    word_norm: WordNorm = "free"
    background: float = 0.0
    noise_from: float = 0.0
    noise_to: float = 1.0
    keys: Keys = "locked"
    neighbours: Neighbours = "concept"
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
        check_settings(overrides)
        small = description.text_width < SMALL_TEXT_WIDTH
        settings = dict(POCKET) if small else STABLE_DIFFUSION | dict(description.family.teaching)
        if description.few_steps:  # guidance and scheduler of validation are the base's own as well
            settings["validation_steps"] = description.few_steps.steps
        if memory is not None and not small:
            resolution, kept = overrides.get("resolution", description.image_size), description.family.kept
            examples = settings["batch_size"] * settings.get("accumulation", 1)
            found = fit(memory, resolution, examples, full_precision=full_precision, kept=kept)
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
        check_settings({name: value for name in _names() if (value := getattr(self, name)) is not None})
        return self

    def changed(self, **changes: Any) -> Recipe:
        """A checked copy with some settings replaced."""
        return replace(self, **changes).validated()

    def to_dict(self) -> dict[str, Setting]:
        """Plain settings for a concept file; lists of prompts become one line of text."""
        given = {name: value for name, value in asdict(self).items() if value is not None}
        return {k: JOINT.join(v) if isinstance(v, tuple) else v for k, v in given.items()}

    @classmethod
    def from_dict(cls, settings: Mapping[str, Any]) -> Recipe:
        """The reverse of `to_dict`; missing settings take their defaults. Raises TrainingError."""
        if not isinstance(settings, Mapping):
            raise TrainingError("The settings are not names with values. Start the teaching again.")
        check_settings(settings)
        read = dict(settings)
        for name in ("templates", "validation_prompts"):
            if isinstance(read.get(name), str):
                read[name] = tuple(line for line in read[name].split(JOINT) if line)
        return cls(**read).validated()


def check_settings(settings: Mapping[str, Any]) -> None:
    """Raise TrainingError for a setting that does not exist or cannot be; some may be absent."""
    unknown = sorted(set(settings) - set(_names()))
    if unknown:
        raise TrainingError(f"There is no setting {shown(unknown[0])}. Settings are: {', '.join(_names())}.")
    problem = settings_problem(settings)
    if problem:
        raise TrainingError(problem)


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

# For the bundled small model, chosen by eye on things kept for it (docs/method.md). The look of a thing lies
# in a noun's encoding there, so what the layers' values share (offset) learns it, held near what words look
# like (prior), and little is left to the single values. The word's own embedding is not learned. The photo
# beside the thing counts a little, or the thing grows a fringe. Things face one way in that base, so photos
# are not mirrored. The gate while teaching is the one of generation.
POCKET: dict[str, Any] = {
    "steps": 100,
    "batch_size": 8,
    "value_rate": 0.003,
    "embedding_rate": 0.0,
    "offset_rate": 0.1,
    "prior": 0.001,
    "background": 0.3,
    "cooldown": 0.6,
    "decay": 0.85,
    "bias": 0.6,
    "temperature": 0.15,
    "removal": "gated",
    "flip": False,
    "checkpoint_every": 50,
    "validation_steps": 8,
}

SMALL_TEXT_WIDTH = 512  # Stable Diffusion's encoders are 768 and 1024 wide, the bundled one 256


def _names() -> list[str]:
    return [field.name for field in fields(Recipe)]
