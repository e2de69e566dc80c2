"""Format 1, as files in use have it, and format 2 with several text encoders."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from perfusion_core.concept import Concept, concept_bytes, concept_from_bytes, load_concept, save_concept
from perfusion_core.errors import ConceptError

FILES = Path(__file__).parent / "files"
BUNDLED = sorted((Path(__file__).parents[2] / "assets" / "concepts").glob("*.safetensors"))
# Taken with the last version that knew format 1 alone.
OLD = {
    FILES / "format1.safetensors": "3b5da758248a74f9b76109cfdc6363d92037b2c006f3ea222675fb65c77a734c",
    FILES / "midnight.safetensors": (  # as once bundled
        "8fa088fea9f264c6a5d4e42aff0b2aa6ef5b438b9f3cb9ff7de12d630cbc6250"
    ),
    FILES / "satchel.safetensors": "1e8e36d48b662dacc9667e4b25be79cb49c6973207b3706d208b57feaa63c6e6",
}
# Written and hashed with the first version that is kept to it: `two_encoders` below.
FORMAT_2 = FILES / "format2.safetensors"
FORMAT_2_HASH = "5f9a68ef89559a06a7834af72f099625327c63b75a690e0b8483efc7623ba39c"
Make = Callable[..., Concept]
ENCODERS = {"text_encoder": "aa" * 16, "text_encoder_2": "bb" * 16}


@pytest.mark.parametrize("path", OLD, ids=lambda path: path.stem)
def test_files_of_format_1_are_read_as_ever(path: Path) -> None:
    concept = load_concept(path)
    assert concept.metadata.format_version == 1
    assert concept.content_hash == OLD[path]
    assert list(concept.embeddings) == ["text_encoder"]


def test_a_concept_of_format_1_is_written_as_the_last_version_wrote_it() -> None:
    path = next(iter(OLD))
    assert concept_bytes(load_concept(path)) == path.read_bytes()


def test_a_file_of_format_2_is_read_and_written_as_ever() -> None:
    concept = load_concept(FORMAT_2)
    assert (concept.metadata.format_version, concept.metadata.family) == (2, "sdxl")
    assert concept.metadata.encoders == ENCODERS
    assert concept.content_hash == FORMAT_2_HASH
    assert torch.equal(concept.embeddings["text_encoder"], torch.linspace(-1, 1, 5))
    assert torch.equal(concept.embeddings["text_encoder_2"], torch.linspace(0, 1, 3))
    assert concept_bytes(concept) == FORMAT_2.read_bytes()


def test_the_bundled_concepts_are_read_and_written_as_they_are() -> None:
    assert BUNDLED
    for path in BUNDLED:
        concept = load_concept(path)
        assert concept.name == path.stem
        assert concept_bytes(concept) == path.read_bytes()


def two_encoders(make_concept: Make, trained_keys: bool = False, **changes: Any) -> Concept:
    plain = make_concept(trained_keys)
    facts = {"format_version": 2, "family": "sdxl", "encoders": ENCODERS, **changes}
    return Concept(
        plain.metadata.changed(**facts),
        plain.target_input,
        torch.linspace(-1, 1, 5),
        plain.superclass_encoding,
        plain.values,
        plain.keys,
        {"text_encoder_2": torch.linspace(0, 1, 3)},
    )


@pytest.mark.parametrize("trained_keys", [True, False])
def test_format_2_holds_an_embedding_for_every_text_encoder(
    make_concept: Make, tmp_path: Path, trained_keys: bool
) -> None:
    concept = two_encoders(make_concept, trained_keys)
    save_concept(concept, tmp_path / "c.safetensors")
    again = load_concept(tmp_path / "c.safetensors")
    assert again.metadata == concept.metadata
    assert again.content_hash == concept.content_hash
    assert list(again.embeddings) == ["text_encoder", "text_encoder_2"]
    for part, embedding in concept.embeddings.items():
        assert torch.equal(again.embeddings[part], embedding)
    compact = concept_from_bytes(concept_bytes(concept, "float16"))
    assert torch.equal(
        compact.embeddings["text_encoder_2"], concept.embeddings["text_encoder_2"].half().float()
    )
    moved = two_encoders(make_concept, trained_keys)
    object.__setattr__(moved, "further_embeddings", {"text_encoder_2": torch.zeros(3)})
    assert moved.content_hash != concept.content_hash


def with_description(content: bytes, change: Callable[[dict[str, Any]], None]) -> bytes:
    length = int.from_bytes(content[:8], "little")
    header = json.loads(content[8 : 8 + length])
    description = json.loads(header["__metadata__"]["perfusion_concept"])
    change(description)
    header["__metadata__"]["perfusion_concept"] = json.dumps(description)
    encoded = json.dumps(header).encode()
    return len(encoded).to_bytes(8, "little") + encoded + content[8 + length :]


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda d: d["encoders"].pop("text_encoder_2"), "exactly the tensors"),
        (lambda d: d["encoders"].update(text_encoder_3="cc"), "exactly the tensors"),
        (lambda d: d["encoders"].pop("text_encoder"), "does not name its text encoders"),
        (lambda d: d["encoders"].update(vae="cc"), "encoders"),
        (lambda d: d["encoders"].update(text_encoder="<b>"), "encoders"),
        (lambda d: d.update(encoders=["text_encoder"]), "encoders"),
        (lambda d: d.update(family="../sdxl"), "family"),
        (lambda d: d.update(family="x" * 300), "family"),
        (lambda d: d.update(format_version=1), "format 1 knows"),
        (lambda d: d.update(prediction_type="none"), "prediction_type"),
    ],
)
def test_odd_files_of_format_2_are_refused(
    make_concept: Make, change: Callable[[dict[str, Any]], None], reason: str
) -> None:
    good = concept_bytes(two_encoders(make_concept))
    assert concept_from_bytes(with_description(good, lambda _: None)).embeddings
    with pytest.raises(ConceptError, match=reason):
        concept_from_bytes(with_description(good, change))


def test_what_is_read_of_a_text_is_of_one_width_in_format_2_too(make_concept: Make) -> None:
    good = two_encoders(make_concept)
    with pytest.raises(ConceptError, match="of one width"):
        Concept(good.metadata, torch.ones(7), good.embedding, good.superclass_encoding, good.values,
                None, good.further_embeddings)  # fmt: skip
    with pytest.raises(ConceptError, match="infinite"):
        Concept(good.metadata, good.target_input, good.embedding, good.superclass_encoding, good.values,
                None, {"text_encoder_2": torch.tensor([float("inf")])})  # fmt: skip
