"""Files from strangers: none of them may execute, crash, be half-read, or be refused without a reason."""

from __future__ import annotations

import gzip
import json
import os
import pickle
import tracemalloc
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from perfusion_core.concept import (
    Concept,
    Precision,
    concept_bytes,
    concept_from_bytes,
    load_concept,
    read_metadata,
    save_concept,
)
from perfusion_core.errors import ConceptError
from tests.concept.altered_files import (
    KEY,
    Attack,
    archive,
    join,
    lora,
    rearranged,
    replaced,
    shift_offsets,
    split,
    swap_dtype,
    torch_file,
    with_description,
    with_fact,
    with_header,
    with_number,
)

# what is wrong -> (how the file is made from a good one, a part of the reason that must be given)
BAD: dict[str, tuple[Callable[[bytes], bytes], str]] = {
    # not a container
    "empty": (lambda _: b"", "empty"),
    "three bytes": (lambda _: b"abc", "cut short"),
    "only a length": (lambda good: good[:8], "past the end"),
    "random text": (lambda _: b"this is a letter, not a concept at all", "64 KB"),
    "html page": (lambda _: b"<!doctype html><script>alert(1)</script>", "64 KB"),
    "pickle": (lambda _: pickle.dumps(Attack()), "pickle"),
    "pickle of protocol 2": (lambda _: pickle.dumps(Attack(), 2), "pickle"),
    "zip archive": (archive, "archive"),
    "torch file": (torch_file, "archive"),
    "gzip": (gzip.compress, "archive"),
    # lengths
    "larger than 8 MB": (lambda good: good + bytes(8 * 2**20), "8 MB"),
    "header over 64 KB": (lambda good: join(b"{" + b" " * 70_000 + b"}", bytes(100)), "64 KB"),
    "header past the end": (lambda good: (5000).to_bytes(8, "little") + good[8:], "past the end"),
    "header of 2^63": (lambda good: (2**63).to_bytes(8, "little") + good[8:], "64 KB"),
    "header of 2^64 - 1": (lambda good: b"\xff" * 8 + good[8:], "64 KB"),
    "header of nothing": (lambda good: bytes(8) + good[8:], "JSON"),
    "cut in the header": (lambda good: good[:200], "past the end"),
    "cut in the data": (lambda good: good[:-1], "cut short"),
    "bytes after the end": (lambda good: good + b"\0", "after its last tensor"),
    # JSON
    "header not JSON": (lambda good: join(b"{not json}", split(good)[1]), "JSON"),
    "header a list": (lambda good: join(b"[1, 2]", split(good)[1]), "object"),
    "header not UTF-8": (lambda good: join(b'{"\xff\xfe": 1}', split(good)[1]), "JSON"),
    "bottomless nesting": (lambda good: join(b'{"a":' + b"[" * 60_000, bytes(8)), "JSON"),
    "a number of 10,000 digits": (lambda good: join(b'{"a":' + b"1" * 10_000 + b"}", bytes(8)), ""),
    "a tensor twice": (replaced(b'"target_input":', b'"embedding":'), "twice"),
    "a key of an entry twice": (replaced(b'"shape": [1, 10]', b'"shape": [8], "shape": [1, 10]'), "twice"),
    "metadata twice": (replaced(b'"__metadata__":', b'"__metadata__": {}, "__metadata__":'), "twice"),
    "a fact twice": (replaced(rb'\"name\":\"biscuit\"', rb'\"name\":\"biscuit\",\"name\":\"b\"'), "twice"),
    # tensors
    "entry not an object": (with_header(lambda h: h.update(embedding=[1])), "entry"),
    "entry with an extra key": (with_header(lambda h: h["embedding"].update(extra=1)), "entry"),
    "entry without a shape": (with_header(lambda h: h["embedding"].pop("shape")), "entry"),
    "negative offset": (with_header(lambda h: shift_offsets(h, "target_input", -4, -4)), "entry"),
    "offsets as text": (with_header(lambda h: h["embedding"].update(data_offsets=["0", "32"])), "entry"),
    "shape of true": (with_header(lambda h: h["embedding"].update(shape=[True])), "entry"),
    "shape of a fraction": (with_header(lambda h: h["embedding"].update(shape=[8.0])), "entry"),
    "five dimensions": (with_header(lambda h: h["embedding"].update(shape=[8, 1, 1, 1, 1])), "entry"),
    "astronomic shape": (with_header(lambda h: h["embedding"].update(shape=[2**62, 2**62])), "fit its shape"),
    "shape past 2^63": (with_header(lambda h: h["embedding"].update(shape=[2**64])), "entry"),
    "shape of nothing": (with_header(lambda h: h["embedding"].update(shape=[0], data_offsets=[8, 8])), "fit"),
    "overlapping tensors": (with_header(lambda h: shift_offsets(h, "embedding", -4, -4)), "overlap"),
    "a gap": (with_header(lambda h: shift_offsets(h, "embedding", 4, 4)), "gaps"),
    "the same bytes twice": (with_header(lambda h: h.update(second=dict(h["embedding"]))), "overlap"),
    "bfloat16": (with_header(lambda h: swap_dtype(h, "embedding", "BF16", 2)), "BF16"),
    "integers": (with_header(lambda h: h["embedding"].update(dtype="I32")), "I32"),
    "mixed precision": (with_header(lambda h: swap_dtype(h, "target_input", "F16", 2)), "types"),
    "a missing tensor": (rearranged(target_input=[8], embedding=[8], layers=[1, 10]), "exactly"),
    "no superclass": (rearranged(target_input=[8], embedding=[8], layers=[1, 10], other=[8]), "exactly"),
    "keys and superclass": (
        rearranged(target_input=[8], embedding=[8], superclass_encoding=[8], layers=[2, 10]), "exactly",
    ),
    "an inverse covariance in it": (
        rearranged(target_input=[8], embedding=[8], superclass_encoding=[8], layers=[1, 10], cov=[8, 8]),
        "exactly",
    ),
    "three rows": (rearranged(target_input=[8], embedding=[8], layers=[3, 10]), "layer table"),
    "other text widths": (
        rearranged(target_input=[8], embedding=[7], superclass_encoding=[8], layers=[1, 10]), "width",
    ),
    "text vectors as tables": (
        rearranged(target_input=[1, 8], embedding=[1, 8], superclass_encoding=[1, 8], layers=[1, 10]),
        "width",
    ),
    "layers too narrow": (
        rearranged(target_input=[8], embedding=[8], superclass_encoding=[8], layers=[1, 9]), "layer table",
    ),
    "too many tensors": (rearranged(**{f"t{i}": [1] for i in range(100)}), "more tensors"),
    "NaN": (with_number("layers", float("nan")), "NaN"),
    "infinity": (with_number("embedding", float("inf")), "infinite"),
    "an absurd norm": (with_number("target_input", 3e38), "absurdly"),
    # the description
    "a LoRA": (lora, "not a Perfusion concept"),
    "no metadata": (with_header(lambda h: h.pop("__metadata__")), "not a Perfusion concept"),
    "metadata a list": (with_header(lambda h: h.update(__metadata__=[])), "text part"),
    "metadata not text": (with_header(lambda h: h["__metadata__"].update({KEY: 1})), "text part"),
    "more metadata": (with_header(lambda h: h["__metadata__"].update(more="x")), "not a Perfusion concept"),
    "description not JSON": (with_header(lambda h: h["__metadata__"].update({KEY: "{"})), "JSON"),
    "newer format": (with_fact("format_version", 3), "newer version"),
    "format 2 without encoders": (with_fact("format_version", 2), "does not name its text encoders"),
    "encoders in format 1": (with_fact("encoders", {"text_encoder": "aa"}), "format 1 knows"),
    "a family in format 1": (with_fact("family", "sdxl"), "format 1 knows"),
    "format of text": (with_fact("format_version", "1"), "format version"),
    "format true": (with_fact("format_version", True), "format version"),
    "no format": (with_description(lambda d: d.pop("format_version")), "format version"),
    "an unknown fact": (with_fact("colour", "red"), "colour"),
    "a fact called self": (with_fact("self", "red"), "self"),
    "a fact missing": (with_description(lambda d: d.pop("superclass")), "superclass"),
    "a number as text": (with_fact("temperature", "0.15"), "temperature"),
    "temperature zero": (with_fact("temperature", 0), "temperature"),
    "bias NaN": (with_fact("bias", {"local": float("nan")}), "NaN"),
    "bias past a float": (
        replaced(rb'\"local\":0.68', rb'\"local\":1e999'), "bias",
    ),
    "bias for no lock": (with_fact("bias", {"nowhere": 0.5}), "bias"),
    "HTML in the name": (with_fact("name", "<img src=x onerror=alert(1)>"), "cannot be a name"),
    "a path as name": (with_fact("name", "../../etc/passwd"), "cannot be a name"),
    "a name not canonical": (with_fact("name", "Biscuit"), "canonical"),
    "HTML in the superclass": (with_fact("superclass", "<b>dog</b>"), "superclass"),
    "text turned around": (with_fact("base", "sd\u202e51"), "base"),
    "half a character": (with_header(lambda h: h["__metadata__"].update(
        {KEY: h["__metadata__"][KEY].replace("pocket", "\\ud800")})), "base"),
    "notes without end": (with_fact("notes", "x" * 3000), "notes"),
    "steps past a float": (with_fact("recipe", {"steps": 1e308}), "steps must be a whole number"),
    "steps many": (with_fact("recipe", {"steps": "many"}), "steps must be a whole number"),
    "steps without end": (with_fact("recipe", {"steps": 10**9}), "choose a value from 1 to 10000"),
    "a seed past 64 bits": (with_fact("recipe", {"seed": 2**63}), "seed"),
    "an integer of 5,000 digits": (replaced(rb'\"steps\":90', rb'\"steps\":' + b"9" * 5000), "JSON"),
    "a mask of no kind": (with_fact("recipe", {"mask": "x"}), "choose one of auto, none, given"),
    "flip maybe": (with_fact("recipe", {"flip": 2}), "choose true or false"),
    "a template without a place": (with_fact("recipe", {"templates": "a dog"}), "write {} once"),
    "recipe in a recipe": (with_fact("recipe", {"a": {"b": 1}}), "recipe"),
    "scores of text": (with_fact("scores", {"image": "high"}), "scores"),
    "a score past all measure": (with_fact("scores", {"step": 1e308}), "scores"),
    "no time zone": (with_fact("created_at", "2026-01-01T00:00:00"), "created_at"),
    "no date": (with_fact("created_at", "yesterday"), "created_at"),
    "thumbnail not base64": (with_fact("thumbnail", "***"), "thumbnail"),
    "thumbnail an SVG": (with_fact("thumbnail", "PHN2Zz48L3N2Zz4="), "thumbnail"),
    "no layers": (with_fact("layers", {}), "layers"),
    "layers a list": (with_fact("layers", ["down.0.attn2"]), "layers"),
    "a layer of a fraction": (with_fact("layers", {"up.0": 6.0, "down.0": 4}), "layer"),
    "a layer of less than nothing": (with_fact("layers", {"up.0": 14, "down.0": -4}), "layer"),
    "a layer with a path outside": (with_fact("layers", {"../x": 6, "down.0": 4}), "layer"),
    "a layer ending of a number": (with_fact("layer_ending", {"a": 1}), "layer"),
}  # fmt: skip


def test_the_corpus_is_large_enough() -> None:
    assert len(BAD) >= 80


@pytest.mark.parametrize("case", BAD)
def test_a_bad_file_is_refused_by_name_and_reason(
    case: str, good_file: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)  # where the pickles would leave their mark
    build, reason = BAD[case]
    content = build(good_file)
    assert content != good_file
    path = tmp_path / "stranger.safetensors"
    path.write_bytes(content)
    with pytest.raises(ConceptError) as refused:
        load_concept(path)
    assert "“stranger.safetensors” was refused: " in str(refused.value)
    assert reason in str(refused.value)
    assert str(refused.value).endswith(("fresh copy.", "to open it."))
    assert str(refused.value).isprintable()
    assert path.read_bytes() == content
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("reader", [load_concept, read_metadata])
def test_what_is_no_file_is_refused(reader: Callable[[Path], object], tmp_path: Path) -> None:
    pipe = tmp_path / "pipe.safetensors"
    os.mkfifo(pipe)
    for path in (tmp_path, tmp_path / "missing.safetensors", pipe, Path("bad\0name"), Path("x" * 5000)):
        with pytest.raises(ConceptError, match="was refused"):
            reader(path)


def test_the_list_view_refuses_what_the_header_shows(good_file: bytes, tmp_path: Path) -> None:
    path = tmp_path / "c.safetensors"
    for case in (
        "newer format",
        "HTML in the name",
        "a gap",
        "no layers",
        "cut in the data",
        "larger than 8 MB",
    ):
        path.write_bytes(BAD[case][0](good_file))
        with pytest.raises(ConceptError, match="was refused"):
            read_metadata(path)


def test_a_huge_file_is_refused_without_being_read(tmp_path: Path) -> None:
    path = tmp_path / "huge.safetensors"
    with path.open("wb") as file:
        file.truncate(2**40)  # sparse: takes no space, but would take all memory
    tracemalloc.start()
    with pytest.raises(ConceptError, match="8 MB"):
        load_concept(path)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 2**20


def memory_in_use(what: str) -> int:
    """VmRSS, now, or VmHWM, the highest since the last reset; in bytes."""
    status = Path("/proc/self/status").read_text()
    return int(next(line for line in status.splitlines() if line.startswith(what)).split()[1]) * 1024


@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="reads Linux's memory counters")
@pytest.mark.parametrize("precision", ["float32", "float16"])
def test_loading_takes_at_most_64_mb_more_than_the_largest_accepted_file(
    make_concept: Callable[..., Concept], tmp_path: Path, precision: Precision
) -> None:
    concept = make_concept()
    width = 60_000 if precision == "float32" else 120_000
    half = width // 2
    parts = {f"block.{i}.attn2": torch.ones(half) for i in range(68)}
    path = tmp_path / "large.safetensors"
    save_concept(replace(concept, values=parts), path, precision)
    assert 7.5 * 2**20 < path.stat().st_size < 8 * 2**20
    del parts
    Path("/proc/self/clear_refs").write_text("5")
    before = memory_in_use("VmRSS")
    load_concept(path)
    assert memory_in_use("VmHWM") - before < path.stat().st_size + 64 * 2**20


def test_a_refusal_of_a_newer_file_says_to_update(good_file: bytes) -> None:
    with pytest.raises(ConceptError, match="Update Perfusion Studio"):
        concept_from_bytes(BAD["newer format"][0](good_file))


def test_a_garbled_file_name_does_not_garble_the_message() -> None:
    with pytest.raises(ConceptError) as refused:
        concept_from_bytes(b"", "evil\x1b[31m\u202e\n" + "x" * 300)
    assert str(refused.value).isprintable()
    assert len(str(refused.value)) < 250


@pytest.mark.parametrize("padding", [0, 1, 300])
def test_spaces_after_the_header_are_allowed_as_in_the_format(good_file: bytes, padding: int) -> None:
    header, data = split(good_file)
    concept_from_bytes(join(json.dumps(header).encode() + b" " * padding, data))


@pytest.mark.parametrize("length", [0.0, 1e-30, 1e-5])
def test_a_target_input_of_almost_no_length_is_refused_with_the_right_reason(
    make_concept: Callable[..., Concept], length: float
) -> None:
    concept = make_concept()
    direction = concept.target_input / concept.target_input.norm()
    with pytest.raises(ConceptError, match="target_input is zero or nearly so"):
        replace(concept, target_input=direction * length)
    header, data = split(concept_bytes(concept))
    start, end = header["target_input"]["data_offsets"]
    faint = (direction * length).numpy().astype("<f4").tobytes()
    with pytest.raises(ConceptError, match=r"was refused: .*target_input is zero or nearly so"):
        concept_from_bytes(join(header, data[:start] + faint + data[end:]))
