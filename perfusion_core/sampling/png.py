"""An image and how it was made, in one PNG.

The `parameters` text chunk is the one other tools read: the prompt, the negative prompt, and a line of
`Key: value` pairs. The last pair, `Perfusion recipe`, is a quoted JSON string with everything we need to make
the same image again, so that a reader of either kind finds what it is looking for.
"""

from __future__ import annotations

import io
import json
import re
from pathlib import Path
from typing import Literal

from PIL import Image
from PIL.PngImagePlugin import PngImageFile, PngInfo
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from perfusion_core.errors import PerfusionError
from perfusion_core.files import write_atomic

FORMAT_VERSION = 1
CHUNK = "parameters"
RECIPE_KEY = "Perfusion recipe"
LARGEST_SIDE = 16_384
LONGEST_TEXT = 256 * 1024


class UsedConcept(BaseModel):
    """One concept as it acted in one image."""

    model_config = ConfigDict(strict=True, frozen=True, extra="forbid", allow_inf_nan=False)

    name: str
    superclass: str
    content_hash: str
    bias: float
    temperature: float


class ImageRecipe(BaseModel):
    """Everything one image depends on. Two equal recipes on one CPU give the same bits."""

    model_config = ConfigDict(strict=True, frozen=True, extra="forbid", allow_inf_nan=False)

    format_version: int = FORMAT_VERSION
    prompt: str
    negative_prompt: str = ""
    seed: int = Field(ge=0, lt=2**63)
    steps: int = Field(ge=1, le=1000)
    guidance: float
    width: int = Field(ge=1, le=LARGEST_SIDE)
    height: int = Field(ge=1, le=LARGEST_SIDE)
    scheduler: str
    lock: Literal["local", "global"] = "local"
    removal: Literal["paper", "gated"] = "paper"
    concepts: list[UsedConcept] = []
    base: str
    base_fingerprint: str
    covariance_fingerprint: str = ""
    device: str = "cpu"
    precision: str = "float32"
    made_with: str = ""


class ForeignRecipe(BaseModel):
    """What could be taken from an image another tool made. Absent means that it did not say."""

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
        f"{RECIPE_KEY}: {json.dumps(recipe.model_dump_json())}",
    ]
    lines = [recipe.prompt]
    if recipe.negative_prompt:
        lines.append(f"Negative prompt: {recipe.negative_prompt}")
    return "\n".join([*lines, ", ".join(pairs)])


def png_bytes(image: Image.Image, recipe: ImageRecipe | None = None) -> bytes:
    """`image` as a PNG file, with its recipe inside when there is one."""
    info = PngInfo()
    if recipe is not None:
        info.add_text(CHUNK, recipe_text(recipe))
    buffer = io.BytesIO()
    image.save(buffer, format="PNG", pnginfo=info)
    return buffer.getvalue()


def save_png(image: Image.Image, recipe: ImageRecipe | None, path: str | Path) -> Path:
    """Write `image` to `path` atomically and return the path. The image is not re-encoded by anyone later."""
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
            f"{Path(path).name} was made by another tool: it names a prompt, but not the concepts and the "
            "base model "
            "an exact repeat needs. Its prompt can still be read with `python app.py recipe`."
        )
    return found


def read_any_recipe(path: str | Path) -> ImageRecipe | ForeignRecipe:
    """The recipe of an image, ours in full or another tool's as far as it goes. Raises `PerfusionError`."""
    name = Path(path).name
    text = _parameters_text(Path(path))
    embedded = _embedded_json(text)
    if embedded is None:
        return _parse_foreign(text, name)
    try:
        data = json.loads(embedded)
    except (json.JSONDecodeError, RecursionError) as error:
        raise PerfusionError(f"The recipe in {name} is damaged and cannot be read ({error}).") from None
    version = data.get("format_version") if isinstance(data, dict) else None
    if isinstance(version, int) and version > FORMAT_VERSION:
        raise PerfusionError(
            f"The recipe in {name} has format {version}; this version reads up to {FORMAT_VERSION}. "
            "Update Perfusion Studio to use it."
        )
    try:
        return ImageRecipe.model_validate(data)
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(str(part) for part in first["loc"]) or "the recipe"
        raise PerfusionError(f"The recipe in {name} is damaged: {field}: {first['msg']}.") from None


def _parameters_text(path: Path) -> str:
    try:
        with Image.open(path, formats=["PNG"]) as image:
            if not isinstance(image, PngImageFile) or max(image.size) > LARGEST_SIDE:
                raise PerfusionError(f"{path.name} is larger than any image made here, so it was not read.")
            text = image.info.get(CHUNK)
            if text is None:  # some tools write it after the pixels; reading on decodes those
                text = image.text.get(CHUNK)
    except FileNotFoundError:
        raise PerfusionError(f"There is no file {path}.") from None
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise PerfusionError(f"{path.name} is not a PNG image that can be read ({error}).") from None
    if not isinstance(text, str) or not text.strip():
        raise PerfusionError(
            f"{path.name} carries no recipe. Only PNG files as they were saved do; screenshots and images "
            "passed through "
            "a chat or an editor usually lose it."
        )
    if len(text) > LONGEST_TEXT:
        raise PerfusionError(f"The recipe in {path.name} is too long to be one.")
    return str(text)


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


_PAIR = re.compile(r'\s*([A-Za-z][\w \-/]+):\s*("(?:\\.|[^\\"])+"|[^,]*)(?:,|$)')


def _parse_foreign(text: str, name: str) -> ForeignRecipe:
    lines = text.strip().split("\n")
    pairs = dict(_PAIR.findall(lines[-1])) if "Steps:" in lines[-1] else {}
    if not pairs:
        raise PerfusionError(f"{name} has a `parameters` text, but not in a form that can be read.")
    prompt, _, negative = "\n".join(lines[:-1]).partition("Negative prompt:")
    size = re.fullmatch(r"(\d{1,5})x(\d{1,5})", pairs.get("Size", "").strip())
    return ForeignRecipe(
        prompt=prompt.strip(),
        negative_prompt=negative.strip(),
        seed=_whole(pairs.get("Seed")),
        steps=_whole(pairs.get("Steps")),
        guidance=_real(pairs.get("CFG scale")),
        width=int(size[1]) if size else None,
        height=int(size[2]) if size else None,
        sampler=pairs.get("Sampler"),
    )


def _whole(text: str | None) -> int | None:
    return int(text) if text is not None and re.fullmatch(r"\d{1,18}", text.strip()) else None


def _real(text: str | None) -> float | None:
    return float(text) if text is not None and re.fullmatch(r"\d{1,6}(\.\d{1,9})?", text.strip()) else None


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False) if re.search(r'[,:"\n]', text) else text
