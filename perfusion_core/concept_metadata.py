"""What a concept file says about itself: strict, versioned, safe to show. Needs no torch."""

from __future__ import annotations

import base64
import re
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Annotated, Any, Literal, cast

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator

from perfusion_core.concept_name import validate_name
from perfusion_core.container import ContainerError, shown
from perfusion_core.edit.choices import Removal
from perfusion_core.printable import is_showable
from perfusion_core.recipe_rules import settings_problem
from perfusion_core.webp_header import webp_size

FORMAT_VERSION = 2  # the newest that is read; 1 is written where it says everything
FIRST_FAMILY = "stable-diffusion"  # of all files of format 1, which name none
LARGEST_THUMBNAIL_SIDE = 1024  # pixels
_MAX_THUMBNAIL_CHARACTERS = 24_000
_MAX_LAYERS, _MAX_LAYER_WIDTH = 512, 65_536
_LAYER_PATH = re.compile(r"[A-Za-z0-9_]{1,40}(\.[A-Za-z0-9_]{1,40}){0,15}")


def _canonical_name(name: str) -> str:
    if validate_name(name) != name:
        raise ValueError("the name is not in its canonical form")
    return name


def _superclass(text: str) -> str:
    if not text or " ".join(text.split()) != text:
        raise ValueError("is not one or more words with single spaces between them")
    return text


def _printable(text: str) -> str:
    if not is_showable(text):
        raise ValueError("holds characters that cannot be shown")
    return text


def _one_line(text: str) -> str:
    if "\n" in text or "<" in text or ">" in text:
        raise ValueError("holds a line break or an angle bracket")
    return text


def _moment(text: str) -> str:
    if datetime.fromisoformat(text.replace("Z", "+00:00")).tzinfo is None:
        raise ValueError("has no time zone")
    return text


def _webp(text: str) -> str:
    image = base64.b64decode(text, validate=True)
    if max(webp_size(image)) > LARGEST_THUMBNAIL_SIDE:
        raise ValueError(f"has more than {LARGEST_THUMBNAIL_SIDE} pixels on a side")
    return text


def _teachable(settings: dict[str, Any]) -> dict[str, Any]:
    problem = settings_problem(settings)
    if problem:
        raise ValueError(problem)
    return settings


_Text = Annotated[str, AfterValidator(_printable)]
_Line = Annotated[_Text, AfterValidator(_one_line)]
_Label = Annotated[_Line, Field(min_length=1, max_length=200)]
_Key = Annotated[str, Field(pattern=r"^[a-z0-9_]{1,40}$")]
_Whole = Annotated[int, Field(ge=-(2**63), lt=2**63)]
_Setting = Annotated[_Line, Field(max_length=500)] | _Whole | float | bool
_Thumbnail = Annotated[str, Field(max_length=_MAX_THUMBNAIL_CHARACTERS), AfterValidator(_webp)]
_Score = Annotated[float, Field(ge=-1e6, le=1e6)]
_Family = Annotated[str, Field(pattern=r"^[a-z0-9]{1,20}(-[a-z0-9]{1,20}){0,3}$")]
_Bias = Annotated[float, Field(ge=-1.0, le=3.0)]
_EncoderPart = Literal["text_encoder", "text_encoder_2", "text_encoder_3"]


class ConceptMetadata(BaseModel):
    """Facts about a concept. Unknown fields are refused, since they may change the mathematics.

    Format 1 is Stable Diffusion's: one text encoder, whose words are as wide as its encodings. Format 2 says
    of which `family` the base is and names its text `encoders` with the fingerprint of each; the concept has
    an embedding in every one.
    """

    model_config = ConfigDict(strict=True, frozen=True, extra="forbid", allow_inf_nan=False)

    format_version: Literal[1, 2] = 1
    name: Annotated[str, AfterValidator(_canonical_name)]
    superclass: Annotated[_Line, Field(max_length=60), AfterValidator(_superclass)]
    base: _Label
    base_fingerprint: _Label
    covariance_fingerprint: _Label
    family: _Family = FIRST_FAMILY
    encoders: Annotated[dict[_EncoderPart, _Label], Field(max_length=3)] = Field(
        default_factory=dict[_EncoderPart, str]
    )
    prediction_type: Literal["epsilon", "v_prediction", "sample", "flow_prediction"] | None = None
    recipe: Annotated[dict[_Key, _Setting], Field(max_length=64), AfterValidator(_teachable)]
    scores: Annotated[dict[_Key, _Score], Field(max_length=32)]
    bias: dict[Literal["local", "global"], _Bias]
    temperature: Annotated[float, Field(ge=0.001, le=10.0)]
    removal: Removal
    token_similarity: Annotated[float, Field(ge=-100.0, le=100.0)]
    created_at: Annotated[str, Field(max_length=40), AfterValidator(_moment)]
    created_by: _Label
    notes: Annotated[_Text, Field(max_length=2000)] = ""
    thumbnail: _Thumbnail | None = None

    @model_validator(mode="after")
    def _said_by_its_format(self) -> ConceptMetadata:
        two = bool(self.encoders) or self.family != FIRST_FAMILY
        if self.format_version == 1 and (two or self.prediction_type == "flow_prediction"):
            raise ValueError("format 1 knows one family and one text encoder")
        if self.format_version > 1 and "text_encoder" not in self.encoders:
            raise ValueError("it does not name its text encoders")
        return self

    def __init__(self, /, **fields: Any) -> None:
        try:
            super().__init__(**fields)
        except ValidationError as error:
            raise ContainerError(_first_problem(error)) from error

    @property
    def beside_superclass(self) -> bool:
        """Whether it was taught, and is drawn, with the other words of a prompt beside its superclass."""
        return self.recipe.get("neighbours") == "superclass"

    def changed(self, **changes: Any) -> ConceptMetadata:
        """A copy with some fields changed, checked as a whole. Raises ConceptError."""
        return ConceptMetadata(**{**self.model_dump(), **changes})


def describe(metadata: ConceptMetadata, layers: Mapping[str, int]) -> dict[str, Any]:
    """What the file says: the metadata, and its layers' widths under their paths less the ending they share.

    In Stable Diffusion 1.5 that ending, repeated sixteen times, would make the compact form 1.4 % larger.
    """
    ending = _common_ending(layers)
    return {
        **metadata.model_dump(mode="json", exclude_defaults=True),
        "format_version": metadata.format_version,
        "layers": {path.removesuffix(ending): width for path, width in layers.items()},
        "layer_ending": ending,
    }


def parse_description(fields: dict[str, Any]) -> tuple[ConceptMetadata, dict[str, int]]:
    """The inverse of ``describe``. Raises ConceptError; the format version is judged first."""
    version = fields.get("format_version")
    if type(version) is not int or version < 1:
        raise ContainerError("it does not say which format version it is")
    if version > FORMAT_VERSION:
        raise ContainerError(
            f"it was made by a newer version of Perfusion Studio (format {version}; this one reads "
            f"{FORMAT_VERSION})",
            remedy="Update Perfusion Studio to open it.",
        )
    layers, ending = fields.pop("layers", None), fields.pop("layer_ending", "")
    return ConceptMetadata(**fields), _layer_widths(layers, ending)


def _common_ending(paths: Iterable[str]) -> str:
    """The dotted parts all paths end with, leaving each at least one part: ".transformer_blocks.0.attn2"."""
    shared: list[str] = []
    for parts in zip(*(path.split(".")[:0:-1] for path in paths), strict=False):
        if len(set(parts)) > 1:
            break
        shared.insert(0, f".{parts[0]}")
    return "".join(shared)


def _layer_widths(layers: object, ending: object) -> dict[str, int]:
    named = cast("dict[str, object]", layers) if isinstance(layers, dict) else {}
    if not 1 <= len(named) <= _MAX_LAYERS:
        raise ContainerError("it does not name its layers")
    widths: dict[str, int] = {}
    for beginning, width in named.items():
        path = f"{beginning}{ending}"
        if not _LAYER_PATH.fullmatch(path) or type(width) is not int or not 1 <= width <= _MAX_LAYER_WIDTH:
            raise ContainerError("it names a layer that cannot exist")
        widths[path] = width
    return widths


def _first_problem(error: ValidationError) -> str:
    problem = error.errors(include_url=False, include_input=False, include_context=False)[0]
    place = ".".join(str(part) for part in problem["loc"][:2])[:60]
    return f"its metadata is not valid: {shown(place)}: {problem['msg']}"
