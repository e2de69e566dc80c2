"""An image and how it was made, in one PNG.

The `parameters` text chunk is the one other tools read: the prompt, the negative prompt, and a line of `Key:
value` pairs. The last pair, `Perfusion recipe`, is a quoted JSON string with everything we need to make the
same image again, so that other tools and this program each find what they read.
"""

from __future__ import annotations

import io
import json
import re
from pathlib import Path
from typing import Annotated

from PIL import Image
from PIL.PngImagePlugin import PngInfo
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from perfusion_core.concept_metadata import validate_name
from perfusion_core.edit.choices import Lock, Removal
from perfusion_core.errors import ConceptError, PerfusionError, first_line
from perfusion_core.files import write_atomic
from perfusion_core.model.lora_files import MOST_LORAS, WEIGHTS
from perfusion_core.printable import printable
from perfusion_core.sampling.operating_points import WIDEST_BIAS
from perfusion_core.sampling.parameter_pairs import read_pairs
from perfusion_core.sampling.png_text import LARGEST_SIDE, png_text
from perfusion_core.sampling.request import (
    HIGHEST_GUIDANCE,
    LARGEST_SEED,
    LONGEST_PROMPT,
    MOST_STEPS,
    SIDES,
)

FORMAT_VERSION = 2  # the newest that is read
PLAIN_FORMAT = 1  # without LoRAs, as earlier versions of the program read it
CHUNK = "parameters"
RECIPE_KEY = "Perfusion recipe"
LONGEST_FOREIGN_PROMPT = 10_000  # characters; some tools read long prompts in several parts


def _usable_name(name: str) -> str:
    try:
        canonical = validate_name(name)
    except ConceptError as error:
        raise ValueError(str(error)) from None
    if canonical != name:
        raise ValueError("is not in the form in which concepts are named")
    return name


# What a request may ask for, so that a recipe that is read can be asked for again. Whatever this program
# generates lies inside: requests are checked against the same bounds first.
_Prompt = Annotated[
    str, Field(max_length=2 * LONGEST_PROMPT)
]  # written numbers may be longer than those typed
_Label = Annotated[str, Field(max_length=255)]
_Hash = Annotated[str, Field(max_length=200)]
_Word = Annotated[str, Field(max_length=60)]


class UsedConcept(BaseModel):
    """One concept as it acted in one image."""

    model_config = ConfigDict(strict=True, frozen=True, extra="forbid", allow_inf_nan=False)

    name: Annotated[str, AfterValidator(_usable_name)]
    superclass: _Word
    content_hash: _Hash
    bias: float = Field(ge=WIDEST_BIAS[0], le=WIDEST_BIAS[1])
    temperature: float = Field(ge=0.001, le=10.0)


class UsedLora(BaseModel):
    """One LoRA as it acted in one image. name: of its file; content_hash: the file's sha256, in hex."""

    model_config = ConfigDict(strict=True, frozen=True, extra="forbid", allow_inf_nan=False)

    name: _Label
    content_hash: _Hash
    weight: float = Field(ge=WEIGHTS[0], le=WEIGHTS[1])


class ImageRecipe(BaseModel):
    """Everything one image depends on. Two equal recipes on one CPU give the same bits."""

    model_config = ConfigDict(strict=True, frozen=True, extra="forbid", allow_inf_nan=False)

    format_version: int = PLAIN_FORMAT
    prompt: _Prompt
    negative_prompt: _Prompt = ""
    seed: int = Field(ge=0, le=LARGEST_SEED)
    steps: int = Field(ge=1, le=MOST_STEPS)
    guidance: float = Field(ge=0.0, le=HIGHEST_GUIDANCE)
    width: int = Field(ge=1, le=LARGEST_SIDE)
    height: int = Field(ge=1, le=LARGEST_SIDE)
    scheduler: _Word
    lock: Lock = "local"
    removal: Removal = "paper"
    concepts: list[UsedConcept] = Field(default=[], max_length=64)
    loras: list[UsedLora] = Field(default=[], max_length=MOST_LORAS)
    base: _Label
    base_fingerprint: _Hash
    covariance_fingerprint: _Hash = ""
    device: _Word = "cpu"
    precision: _Word = "float32"
    made_with: _Label = ""


class ForeignRecipe(BaseModel):
    """What could be taken from an image another tool made.

    Absent means that it did not say, or said what could not be asked for here.
    """

    model_config = ConfigDict(frozen=True)

    prompt: str
    negative_prompt: str = ""
    seed: int | None = None
    steps: int | None = None
    guidance: float | None = None
    width: int | None = None
    height: int | None = None
    sampler: str | None = None


def recipe_text(recipe: ImageRecipe) -> str:
    """The text of the `parameters` chunk."""
    pairs = [
        f"Steps: {recipe.steps}",
        f"Sampler: {recipe.scheduler}",
        f"CFG scale: {recipe.guidance:g}",
        f"Seed: {recipe.seed}",
        f"Size: {recipe.width}x{recipe.height}",
        f"Model hash: {recipe.base_fingerprint[:10]}",
        f"Model: {_quoted(recipe.base)}",
        f"{RECIPE_KEY}: {json.dumps(_embedded(recipe))}",
    ]
    lines = [recipe.prompt]
    if recipe.negative_prompt:
        lines.append(f"Negative prompt: {recipe.negative_prompt}")
    return "\n".join([*lines, ", ".join(pairs)])


def _embedded(recipe: ImageRecipe) -> str:
    """The recipe as JSON; without LoRAs as earlier versions of the program wrote it."""
    return recipe.model_dump_json(exclude=None if recipe.loras else {"loras"})


def png_bytes(image: Image.Image, recipe: ImageRecipe | None = None) -> bytes:
    """`image` as a PNG file, with its recipe inside when there is one."""
    info = PngInfo()
    if recipe is not None:
        info.add_text(CHUNK, recipe_text(recipe))
    buffer = io.BytesIO()
    image.save(buffer, format="PNG", pnginfo=info)
    return buffer.getvalue()


def save_png(image: Image.Image, recipe: ImageRecipe | None, path: str | Path) -> Path:
    """Write `image` to `path` atomically and return the path. The image is never re-encoded later."""
    target = Path(path)
    write_atomic(target, png_bytes(image, recipe))
    return target


def read_recipe(path: str | Path) -> ImageRecipe:
    """The recipe of an image we made.

    Raises `PerfusionError` when the file is not a PNG, carries no recipe, carries another tool's, a damaged
    one, or one of a newer format.
    """
    found = read_any_recipe(path)
    if isinstance(found, ForeignRecipe):
        raise PerfusionError(
            f"{printable(Path(path).name)} was made by another tool: it names a prompt, but not the "
            "concepts and the base model that an exact repeat needs. "
            "Its prompt can still be read with `python app.py recipe`."
        )
    return found


def read_any_recipe(path: str | Path) -> ImageRecipe | ForeignRecipe:
    """The recipe of an image, ours in full or another tool's as far as it goes. Raises `PerfusionError`."""
    name = printable(Path(path).name)
    text = _parameters_text(Path(path))
    embedded = _embedded_json(text)
    if embedded is None:
        return _parse_foreign(text, name)
    try:
        data = json.loads(embedded)
    except (ValueError, RecursionError) as error:  # ValueError: also an integer of thousands of digits
        raise _damaged(name, first_line(error)) from None
    version = data.get("format_version") if isinstance(data, dict) else None
    if isinstance(version, int) and version > FORMAT_VERSION:
        raise PerfusionError(
            f"The recipe in {name} has format {str(version)[:9]}; this version reads up to {FORMAT_VERSION}. "
            "Update Perfusion Studio to use it."
        )
    try:
        return ImageRecipe.model_validate(data)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False, include_context=False)[0]
        field = printable(".".join(str(part) for part in first["loc"]))[:60] or "the recipe"
        raise _damaged(name, f"{field}: {first['msg']}") from None


def _damaged(name: str, reason: str) -> PerfusionError:
    return PerfusionError(
        f"The recipe in {name} is damaged and was not used ({printable(reason)}). "
        "Use the image as it was first saved."
    )


def _parameters_text(path: Path) -> str:
    text = png_text(path, CHUNK)
    if text is None or not text.strip():
        raise PerfusionError(
            f"{printable(path.name)} carries no recipe. Only PNG files as they were saved do; screenshots "
            "and images passed through a chat or an editor usually lose it."
        )
    return text


def _embedded_json(text: str) -> str | None:
    marker = f"{RECIPE_KEY}: "
    start = text.rfind(marker)
    if start < 0:
        return None
    try:
        value, _ = json.JSONDecoder().raw_decode(text[start + len(marker) :])
    except (json.JSONDecodeError, RecursionError):
        return "{damaged"
    return value if isinstance(value, str) else "{damaged"


def _parse_foreign(text: str, name: str) -> ForeignRecipe:
    lines = text.strip().split("\n")
    pairs = read_pairs(lines[-1]) if "Steps:" in lines[-1] else {}
    if not pairs:
        raise PerfusionError(f"{name} has a `parameters` text, but not in a form that can be read.")
    prompt, _, negative = "\n".join(lines[:-1]).partition("Negative prompt:")
    prompt, negative = prompt.strip(), negative.strip()
    if max(len(prompt), len(negative)) > LONGEST_FOREIGN_PROMPT:
        raise PerfusionError(
            f"The prompt in {name} has more than {LONGEST_FOREIGN_PROMPT} characters, so it was not read. "
            "Use another image."
        )
    width, _, height = pairs.get("Size", "").partition("x")
    sides = _whole(width, *SIDES), _whole(height, *SIDES)
    return ForeignRecipe(
        prompt=prompt,
        negative_prompt=negative,
        seed=_whole(pairs.get("Seed"), 0, LARGEST_SEED),
        steps=_whole(pairs.get("Steps"), 1, MOST_STEPS),
        guidance=_real(pairs.get("CFG scale"), 0.0, HIGHEST_GUIDANCE),
        width=sides[0] if sides[1] else None,
        height=sides[1] if sides[0] else None,
        sampler=pairs.get("Sampler", "")[:60] or None,
    )


def _whole(text: str | None, low: int, high: int) -> int | None:
    text = (text or "").strip()
    if not (text.isascii() and text.isdigit() and len(text) < 20):
        return None
    return int(text) if low <= int(text) <= high else None


def _real(text: str | None, low: float, high: float) -> float | None:
    text = (text or "").strip()
    found = float(text) if re.fullmatch(r"\d{1,6}(\.\d{1,9})?", text, re.ASCII) else None
    return found if found is not None and low <= found <= high else None


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False) if re.search(r'[,:"\n]', text) else text
