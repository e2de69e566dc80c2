"""Mutated concept files: each is refused in words or read as a sound concept."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from perfusion_core.concept import concept_bytes, concept_from_bytes
from perfusion_core.errors import ConceptError
from tests.concept.altered_files import KEY, join, split


def accepted_or_refused(content: bytes) -> None:
    try:
        concept = concept_from_bytes(content)
    except ConceptError:
        return
    # accepted: then it is a sound concept that survives another round
    assert concept_from_bytes(concept_bytes(concept)).content_hash == concept.content_hash


FUZZ = settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@FUZZ
@given(data=st.data())
def test_changed_bytes_give_a_refusal_or_a_sound_concept(good_file: bytes, data: st.DataObject) -> None:
    content = bytearray(good_file)
    for position in data.draw(st.lists(st.integers(0, len(content) - 1), min_size=1, max_size=8)):
        content[position] = data.draw(st.integers(0, 255))
    accepted_or_refused(bytes(content))


@FUZZ
@given(data=st.data())
def test_cut_and_spliced_files_give_a_refusal_or_a_sound_concept(
    good_file: bytes, good_file_with_keys: bytes, data: st.DataObject
) -> None:
    first = good_file[: data.draw(st.integers(0, len(good_file)))]
    second = good_file_with_keys[data.draw(st.integers(0, len(good_file_with_keys))) :]
    accepted_or_refused(first + data.draw(st.binary(max_size=16)) + second)


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=10), inner, max_size=4),
    max_leaves=8,
)


def places(value: object, path: tuple[str | int, ...] = ()) -> list[tuple[str | int, ...]]:
    """Every place in a JSON document."""
    inner: list[tuple[str | int, Any]] = []
    if isinstance(value, dict):
        inner = list(value.items())
    elif isinstance(value, list):
        inner = list(enumerate(value))
    return [path, *(place for key, below in inner for place in places(below, (*path, key)))]


@FUZZ
@given(data=st.data())
def test_any_value_anywhere_in_header_or_description_gives_a_refusal_or_a_sound_concept(
    good_file: bytes, data: st.DataObject
) -> None:
    header, tensors = split(good_file)
    header["__metadata__"][KEY] = json.loads(header["__metadata__"][KEY])
    place = data.draw(st.sampled_from(places(header)[1:]))
    target: Any = header
    for key in place[:-1]:
        target = target[key]
    target[place[-1]] = data.draw(JSON_VALUES)
    metadata = header["__metadata__"]
    if isinstance(metadata, dict) and KEY in metadata:
        metadata[KEY] = json.dumps(metadata[KEY])
    accepted_or_refused(join(header, tensors))


@FUZZ
@given(content=st.binary(max_size=400))
def test_random_bytes_are_refused(content: bytes) -> None:
    with pytest.raises(ConceptError):
        concept_from_bytes(content)
