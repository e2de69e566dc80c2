from __future__ import annotations

import base64
import io
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from PIL import Image
from safetensors import safe_open

from perfusion_core.concept import (
    Concept,
    concept_bytes,
    concept_from_bytes,
    load_concept,
    read_metadata,
    save_concept,
    validate_name,
)
from perfusion_core.errors import ConceptError

Make = Callable[..., Concept]


def assert_same(first: Concept, second: Concept) -> None:
    assert first.metadata == second.metadata
    for field in ("target_input", "embedding", "superclass_encoding"):
        one, other = getattr(first, field), getattr(second, field)
        assert (one is None and other is None) or torch.equal(one, other)
    for one, other in ((first.values, second.values), (first.keys, second.keys)):
        assert (one is None) == (other is None)
        if one is not None and other is not None:
            assert list(one) == list(other)
            assert all(torch.equal(one[path], other[path]) for path in one)


@pytest.mark.parametrize("trained_keys", [False, True])
def test_a_saved_concept_reads_back_exactly(make_concept: Make, tmp_path: Path, trained_keys: bool) -> None:
    concept = make_concept(trained_keys, notes="first line\nsecond — line", thumbnail=webp())
    save_concept(concept, tmp_path / "c.safetensors")
    again = load_concept(tmp_path / "c.safetensors")
    assert_same(concept, again)
    assert again.content_hash == concept.content_hash


def test_the_metadata_alone_is_the_metadata_of_the_whole(make_concept: Make, tmp_path: Path) -> None:
    save_concept(make_concept(superclass="blue mug"), tmp_path / "c.safetensors")
    assert read_metadata(tmp_path / "c.safetensors") == load_concept(tmp_path / "c.safetensors").metadata


def test_the_same_concept_always_becomes_the_same_bytes(make_concept: Make) -> None:
    concept = make_concept()
    reversed_layers = Concept(
        concept.metadata,
        concept.target_input,
        concept.embedding,
        concept.superclass_encoding,
        dict(reversed(concept.values.items())),
    )
    assert concept_bytes(reversed_layers) == concept_bytes(concept)
    assert concept_bytes(concept_from_bytes(concept_bytes(concept))) == concept_bytes(concept)


def test_the_safetensors_library_reads_our_file(make_concept: Make, tmp_path: Path) -> None:
    concept = make_concept(trained_keys=True)
    save_concept(concept, tmp_path / "c.safetensors")
    with safe_open(tmp_path / "c.safetensors", "pt") as file:
        assert set(file.keys()) == {"target_input", "embedding", "layers"}
        assert torch.equal(file.get_tensor("target_input"), concept.target_input)
        assert torch.equal(file.get_tensor("layers")[0], torch.cat(list(concept.values.values())))


def test_the_compact_form_is_the_concept_in_half_precision_without_its_thumbnail(make_concept: Make) -> None:
    concept = make_concept(thumbnail=webp())
    compact = concept_from_bytes(concept_bytes(concept, "float16"))
    assert compact.metadata == concept.metadata.changed(thumbnail=None)
    for path, value in concept.values.items():
        assert torch.equal(compact.values[path], value.half().float())
    assert concept_bytes(compact, "float16") == concept_bytes(concept, "float16")


@pytest.mark.parametrize(
    ("trained_keys", "precision", "thousands"),  # of bytes, as docs/bases.md says them
    [
        (True, "float32", 108),
        (False, "float32", 61),
        (False, "float16", 32),
    ],
)
def test_sizes_for_stable_diffusion_1_5(
    make_sd15_concept: Make, trained_keys: bool, precision: str, thousands: int
) -> None:
    concept = make_sd15_concept(trained_keys)
    assert len(concept.values) == 16
    assert sum(len(value) for value in concept.values.values()) * 2 == 12_480 * 2
    content = concept_bytes(concept, precision)  # type: ignore[arg-type]
    assert len(content) / 1000 == pytest.approx(thousands, abs=1)
    assert list(concept_from_bytes(content).values) == list(concept.values)


def test_a_single_layer_keeps_its_path(make_concept: Make) -> None:
    concept = make_concept()
    one = Concept(
        concept.metadata,
        concept.target_input,
        concept.embedding,
        concept.superclass_encoding,
        {"a.b.attn2": torch.ones(3)},
    )
    assert list(concept_from_bytes(concept_bytes(one)).values) == ["a.b.attn2"]


def test_the_hash_follows_what_makes_the_image_and_nothing_else(make_concept: Make) -> None:
    concept = make_concept()
    renamed = concept.with_metadata(name="rex", notes="mine", scores={"image": 0.1}, bias={"local": 0.5})
    assert renamed.content_hash == concept.content_hash
    others = [
        make_concept(seed=1),
        make_concept(trained_keys=True),
        concept.with_metadata(superclass="cat"),
        concept.with_metadata(base_fingerprint="ff" * 32),
        concept.with_metadata(temperature=0.2),
        concept.with_metadata(removal="paper"),
    ]
    assert len({concept.content_hash, *(other.content_hash for other in others)}) == 1 + len(others)


def test_a_concept_keeps_its_numbers_while_training_goes_on(make_concept: Make) -> None:
    concept = make_concept()
    learning = torch.nn.Parameter(torch.ones(8))
    snapshot = Concept(
        concept.metadata, learning, concept.embedding, concept.superclass_encoding, concept.values
    )
    with torch.no_grad():
        learning.add_(1)
    assert torch.equal(snapshot.target_input, torch.ones(8))
    assert not snapshot.target_input.requires_grad


def test_placeholder_name_and_superclass(make_concept: Make) -> None:
    concept = make_concept(name="biscuit")
    assert (concept.name, concept.placeholder, concept.superclass) == ("biscuit", "<biscuit>", "dog")


@pytest.mark.parametrize(
    "change",
    [
        {"target_input": torch.zeros(8)},
        {"target_input": torch.full((8,), float("nan"))},
        {"embedding": torch.full((8,), 1e6)},
        {"embedding": torch.ones(9)},
        {"embedding": torch.ones(1, 8)},
        {"superclass_encoding": None},
        {"values": {}},
        {"values": {"a": torch.ones(0)}},
        {"target_input": torch.ones(0), "embedding": torch.ones(0), "superclass_encoding": torch.ones(0)},
        {"values": {"a": torch.ones(2, 2)}},
        {"values": {"a": torch.tensor([float("inf")])}},
        {"keys": {"up.0.attn2": torch.ones(6), "down.0.attn2": torch.ones(4)}},
        {"keys": {"up.0.attn2": torch.ones(6)}, "superclass_encoding": None},
        {"keys": {"up.0.attn2": torch.ones(5), "down.0.attn2": torch.ones(4)}, "superclass_encoding": None},
    ],
)
def test_an_unsound_concept_cannot_be_made(make_concept: Make, change: dict[str, object]) -> None:
    concept = make_concept()
    parts = {
        field: getattr(concept, field)
        for field in ("metadata", "target_input", "embedding", "superclass_encoding", "values", "keys")
    }
    with pytest.raises(ConceptError):
        Concept(**{**parts, **change})


def test_changing_metadata_is_checked_like_making_it(make_concept: Make) -> None:
    concept = make_concept()
    assert concept.with_metadata(notes="hello").metadata.notes == "hello"
    with pytest.raises(ConceptError, match="temperature"):
        concept.with_metadata(temperature=-1.0)
    with pytest.raises(ConceptError, match="colour"):
        concept.with_metadata(colour="red")


def test_an_overlong_description_is_refused_when_saving(make_concept: Make) -> None:
    concept = make_concept(recipe={f"key_{i}": "…" * 500 for i in range(64)})
    with pytest.raises(ConceptError, match="64 KB"):
        concept_bytes(concept)


@pytest.mark.parametrize(
    ("written", "canonical"),
    [
        ("Biscuit", "biscuit"),
        ("my-mug_2", "my-mug_2"),
        ("Ｂｉｓ", "bis"),
        ("Straße", "strasse"),
        ("हिन्दी", "हिन्दी"),
        ("ไม้", "ไม้"),
        ("猫", "猫"),
        ("Ω", "ω"),
        ("CON", "con"),
        ("7", "7"),
        ("a" * 40, "a" * 40),
    ],
)
def test_names_have_one_canonical_form(written: str, canonical: str) -> None:
    assert validate_name(written) == canonical
    assert validate_name(canonical) == canonical


@pytest.mark.parametrize(
    "written",
    [
        "",
        " ",
        "two words",
        "<b>",
        "a:b",
        "../etc",
        "a/b",
        "a\\b",
        "-dash",
        "_under",
        "a" * 41,
        "a\n",
        "a\u200b",
        "\u0301a",
        "\u202ea",
        "a\x00",
        "😀",
        "a.b",
        "ß" * 21,
        "\ud800",
    ],
)
def test_what_cannot_be_a_name_is_refused_with_a_hint(written: str) -> None:
    with pytest.raises(ConceptError, match="Choose"):
        validate_name(written)


def test_metadata_is_read_without_torch(make_concept: Make, tmp_path: Path) -> None:
    save_concept(make_concept(), tmp_path / "c.safetensors")
    program = (
        "import sys; from perfusion_core.concept import read_metadata;"
        f"print(read_metadata({str(tmp_path / 'c.safetensors')!r}).name, 'torch' in sys.modules)"
    )
    answer = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert answer.stdout.split() == ["biscuit", "False"]


def webp() -> str:
    buffer = io.BytesIO()
    Image.new("RGB", (16, 16), "orange").save(buffer, "WEBP")
    return base64.b64encode(buffer.getvalue()).decode()
