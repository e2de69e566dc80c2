# pyright: reportUnknownMemberType=false, reportUnknownArgumentType=false
# (torch.from_numpy and Tensor.split have no complete types)
"""A trained concept and its file: one small .safetensors, read back exactly, refused when anything is odd.

The file holds ``target_input``, ``embedding`` and ``layers``, whose columns are all attention layers side by
side (which they are, and how wide, says the description in the header) and whose rows are the values and, if
they were trained, the keys. With locked keys there is ``superclass_encoding`` instead, from which the base
recomputes them. Dataclass and format live together because they change together; neither ever looks at a
model. Importing this, and reading metadata, needs no torch.
"""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from perfusion_core.concept_metadata import (
    FORMAT_VERSION,
    ConceptMetadata,
    describe,
    parse_description,
    validate_name,
)
from perfusion_core.container import (
    ASK_FOR_ANOTHER,
    MAX_FILE_BYTES,
    ContainerError,
    FloatArray,
    Header,
    container_bytes,
    parse_json,
    read_arrays,
    read_header,
    regular_file_size,
    require_size,
    shown,
)
from perfusion_core.errors import ConceptError
from perfusion_core.files import write_atomic

if TYPE_CHECKING:
    from torch import Tensor

__all__ = [
    "FORMAT_VERSION",
    "Concept",
    "ConceptMetadata",
    "Precision",
    "concept_bytes",
    "concept_from_bytes",
    "load_concept",
    "read_metadata",
    "save_concept",
    "validate_name",
]

Precision = Literal["float32", "float16"]
_TEXT_KEY = "perfusion_concept"
# Real encodings and targets stay below a few hundred; larger ones are damaged or hostile.
_LARGEST_NUMBER = 10_000.0
# Encodings end in a layer norm and have lengths of several; similarities divide by the square of this length.
_SMALLEST_TARGET_INPUT = 1e-3


@dataclass(frozen=True, eq=False)
class Concept:
    """What training yields. D is the text width, O a layer's output width; tensors become float32 on the CPU.

    target_input (D,)         where the concept lives among text encodings
    embedding (E,)            the placeholder's word embedding in the first text encoder; E is D in format 1
    values                    path of an attention module in the denoiser -> (O,), what its value projection
                              must emit for the concept
    keys                      the same for the key projections if they were trained, else None: then they are
                              locked to
    superclass_encoding (D,)  the encoding of the superclass word in the concept's place; else None
    further_embeddings        name of each further text encoder that `metadata.encoders` names -> (E_k,)

    Raises ConceptError on shapes that do not fit, NaN, infinite or absurdly large numbers, and when both or
    neither of the last two are given.
    """

    metadata: ConceptMetadata
    target_input: Tensor
    embedding: Tensor
    superclass_encoding: Tensor | None
    values: Mapping[str, Tensor]
    keys: Mapping[str, Tensor] | None = None
    further_embeddings: Mapping[str, Tensor] = field(default_factory=dict[str, "Tensor"])

    def __post_init__(self) -> None:
        for name in ("target_input", "embedding", "superclass_encoding"):
            object.__setattr__(self, name, _kept(getattr(self, name)))
        for name in ("values", "keys", "further_embeddings"):
            tensors = getattr(self, name)
            if tensors is not None:
                object.__setattr__(self, name, {path: _kept(tensors[path]) for path in sorted(tensors)})
        _require_sound(self)

    @property
    def name(self) -> str:
        return self.metadata.name

    @property
    def superclass(self) -> str:
        return self.metadata.superclass

    @property
    def embeddings(self) -> Mapping[str, Tensor]:
        """The placeholder's word embedding in every text encoder, by its name in the pipeline."""
        return {"text_encoder": self.embedding, **self.further_embeddings}

    @property
    def placeholder(self) -> str:
        """How a prompt mentions it."""
        return f"<{self.name}>"

    @cached_property
    def content_hash(self) -> str:
        """sha256 in hex of all that decides its images at a given bias; a renamed copy has the same."""
        decisive = {"superclass", "base_fingerprint", "covariance_fingerprint", "temperature", "removal"}
        facts = self.metadata.model_dump(mode="json", include=decisive)
        if self.metadata.beside_superclass:
            facts["neighbours"] = "superclass"
        facts["layers"] = {path: len(value) for path, value in self.values.items()}
        digest = hashlib.sha256(json.dumps(facts, sort_keys=True).encode())
        for name, array in _arrays(self).items():
            digest.update(name.encode() + array.astype("<f4").tobytes())
        return digest.hexdigest()

    def with_metadata(self, **changes: Any) -> Concept:
        """The same concept with some metadata changed; checked as when it was made."""
        return replace(self, metadata=self.metadata.changed(**changes))


def save_concept(concept: Concept, path: str | Path, precision: Precision = "float32") -> None:
    """Write the file atomically. "float16" is the compact form: half the size, without the thumbnail.

    Raises PerfusionError when the place cannot be written to.
    """
    write_atomic(path, concept_bytes(concept, precision))


def load_concept(path: str | Path) -> Concept:
    """Read a file back. Raises ConceptError, naming file and reason, on anything but a sound concept."""
    path = Path(path)
    try:
        require_size(regular_file_size(path))
        with path.open("rb") as file:
            content = file.read(MAX_FILE_BYTES + 1)
        return _decode(content)
    except ConceptError as error:
        raise _refusal(path.name, error) from error
    except OSError as error:
        raise _refusal(path.name, ContainerError(f"it cannot be read ({error.strerror})")) from error


def read_metadata(path: str | Path) -> ConceptMetadata:
    """The metadata, from the header alone and without torch. Raises ConceptError like ``load_concept``."""
    path = Path(path)
    try:
        size = regular_file_size(path)
        with path.open("rb") as file:
            return _described(read_header(file, size))[0]
    except ConceptError as error:
        raise _refusal(path.name, error) from error
    except OSError as error:
        raise _refusal(path.name, ContainerError(f"it cannot be read ({error.strerror})")) from error


def concept_bytes(concept: Concept, precision: Precision = "float32") -> bytes:
    """The file's content; the same bytes for the same concept."""
    metadata = concept.metadata if precision == "float32" else concept.metadata.changed(thumbnail=None)
    described = describe(metadata, {path: len(value) for path, value in concept.values.items()})
    text = json.dumps(described, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    arrays = {name: array.astype(precision) for name, array in _arrays(concept).items()}
    return container_bytes({_TEXT_KEY: text}, arrays)


def concept_from_bytes(content: bytes, source: str = "the file") -> Concept:
    """The inverse of ``concept_bytes``; ``source`` names the content in a refusal. Raises ConceptError."""
    try:
        return _decode(content)
    except ConceptError as error:
        raise _refusal(source, error) from error


def _decode(content: bytes) -> Concept:
    import torch

    header = read_header(io.BytesIO(content), len(content))
    metadata, layers = _described(header)
    arrays = read_arrays(content, header)
    tensors = {name: torch.from_numpy(array.astype(np.float32)) for name, array in arrays.items()}
    rows = [dict(zip(layers, row.split(list(layers.values())), strict=True)) for row in tensors["layers"]]
    return Concept(
        metadata=metadata,
        target_input=tensors["target_input"],
        embedding=tensors["embedding"],
        superclass_encoding=tensors.get("superclass_encoding"),
        values=rows[0],
        keys=rows[1] if len(rows) == 2 else None,
        further_embeddings={p: tensors[_tensor_of(p)] for p in metadata.encoders if p != "text_encoder"},
    )


def _tensor_of(encoder: str) -> str:
    """What the file calls the embedding in a text encoder: "embedding_2" for "text_encoder_2"."""
    return encoder.replace("text_encoder", "embedding")


def _described(header: Header) -> tuple[ConceptMetadata, dict[str, int]]:
    """Metadata and layer widths from a header, which must describe exactly a concept's tensors."""
    if set(header.text) != {_TEXT_KEY}:
        raise ContainerError("it is a .safetensors file, but not a Perfusion concept (perhaps a LoRA)")
    metadata, layers = parse_description(parse_json(header.text[_TEXT_KEY]))
    if len({entry.dtype for entry in header.tensors.values()}) > 1:
        raise ContainerError("its tensors are of different types")
    _require_tensor_set({name: entry.shape for name, entry in header.tensors.items()}, layers, metadata)
    return metadata, layers


def _arrays(concept: Concept) -> dict[str, FloatArray]:
    """The tensors as the file holds them, in float32."""
    rows = [concept.values] if concept.keys is None else [concept.values, concept.keys]
    arrays: dict[str, FloatArray] = {
        "target_input": concept.target_input.numpy(),
        **{_tensor_of(part): embedding.numpy() for part, embedding in concept.embeddings.items()},
        "layers": np.stack([np.concatenate([value.numpy() for value in row.values()]) for row in rows]),
    }
    if concept.superclass_encoding is not None:
        arrays["superclass_encoding"] = concept.superclass_encoding.numpy()
    return arrays


def _require_sound(concept: Concept) -> None:
    rows = [concept.values] if concept.keys is None else [concept.values, concept.keys]
    layers = [{path: tuple(vector.shape) for path, vector in row.items()} for row in rows]
    if not layers[0]:
        raise ContainerError("it has no layers")
    if any(row != layers[0] for row in layers):
        raise ContainerError("its keys and its values are not of the same layers and widths")
    if any(len(shape) != 1 or shape[0] == 0 for shape in layers[0].values()):
        raise ContainerError("the targets of its layers are not vectors")
    widths = {path: shape[0] for path, shape in layers[0].items()}
    embeddings = {_tensor_of(part): embedding for part, embedding in concept.embeddings.items()}
    vectors = {"target_input": concept.target_input, **embeddings}
    if concept.superclass_encoding is not None:
        vectors["superclass_encoding"] = concept.superclass_encoding
    shapes = {name: tuple(vector.shape) for name, vector in vectors.items()}
    _require_tensor_set({**shapes, "layers": (len(rows), sum(widths.values()))}, widths, concept.metadata)
    for name, vector in chain(vectors.items(), *(row.items() for row in rows)):
        _require_plausible(name, vector)
    if float(concept.target_input.norm()) < _SMALLEST_TARGET_INPUT:
        raise ContainerError("its target_input is zero or nearly so, and nothing could be compared with it")


def _require_plausible(name: str, vector: Tensor) -> None:
    lowest, highest = float(vector.min()), float(vector.max())  # NaN when any number is
    if not (np.isfinite(lowest) and np.isfinite(highest)):
        raise ContainerError(f"its {name} holds NaN or infinite numbers")
    if max(-lowest, highest) > _LARGEST_NUMBER:
        raise ContainerError(f"its {name} holds absurdly large numbers")


def _require_tensor_set(
    shapes: Mapping[str, tuple[int, ...]], layers: Mapping[str, int], metadata: ConceptMetadata
) -> None:
    encodings = {"target_input"}
    embeddings = {_tensor_of(part) for part in metadata.encoders} or {"embedding"}
    table = shapes.get("layers", ())
    if len(table) != 2 or table[0] not in (1, 2) or table[1] != sum(layers.values()):
        raise ContainerError("its layer table does not fit the layers it names")
    if table[0] == 1:
        encodings.add("superclass_encoding")
    if set(shapes) != encodings | embeddings | {"layers"}:
        raise ContainerError("it does not hold exactly the tensors of a concept")
    alike = encodings | embeddings if metadata.format_version == 1 else encodings
    vectors = [shapes[name] for name in encodings | embeddings]
    if len({shapes[name] for name in alike}) != 1 or any(len(one) != 1 or 0 in one for one in vectors):
        raise ContainerError("its text vectors are not of one width")


def _kept(tensor: Tensor | None) -> Tensor | None:
    # a copy: a trainer goes on changing its parameters in place
    return None if tensor is None else tensor.detach().cpu().float().clone().contiguous()


def _refusal(source: str, reason: ConceptError) -> ConceptError:
    remedy = reason.remedy if isinstance(reason, ContainerError) else ASK_FOR_ANOTHER
    text = str(reason).rstrip(".")
    return ConceptError(f"{shown(source)} was refused: {text}. Nothing was changed. {remedy}")
