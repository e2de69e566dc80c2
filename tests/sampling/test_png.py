from __future__ import annotations

import json
import os
import tracemalloc
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from perfusion_core.errors import PerfusionError
from perfusion_core.sampling.png import (
    CHUNK,
    ForeignRecipe,
    ImageRecipe,
    UsedConcept,
    png_bytes,
    read_any_recipe,
    read_recipe,
    recipe_text,
    save_png,
)


def recipe(**changes: object) -> ImageRecipe:
    fields = {
        "prompt": "a photo of <biscuit> next to <mug:0.55>",
        "seed": 7,
        "steps": 20,
        "guidance": 4.5,
        "width": 128,
        "height": 96,
        "scheduler": "ddim",
        "concepts": [
            UsedConcept(
                name="biscuit", superclass="dog", content_hash="ab" * 32, bias=0.1 + 0.2, temperature=0.15
            )
        ],
        "base": "pocket",
        "base_fingerprint": "0123456789abcdef",
    }
    return ImageRecipe(**{**fields, **changes})  # type: ignore[arg-type]


def image() -> Image.Image:
    return Image.linear_gradient("L").convert("RGB").resize((16, 12))


def foreign(path: Path, text: str, chunk: str = CHUNK) -> Path:
    info = PngInfo()
    info.add_text(chunk, text)
    image().save(path, pnginfo=info)
    return path


def test_a_recipe_comes_back_exactly_and_the_pixels_too(tmp_path: Path) -> None:
    path = save_png(image(), recipe(), tmp_path / "image.png")
    assert read_recipe(path) == recipe()
    assert Image.open(path).tobytes() == image().tobytes()


@given(prompt=st.text(min_size=1, max_size=200), negative=st.text(max_size=80))
def test_any_prompt_survives(tmp_path_factory: pytest.TempPathFactory, prompt: str, negative: str) -> None:
    path = tmp_path_factory.mktemp("png") / "image.png"
    cleaned = recipe(
        prompt=prompt.encode("utf-8", "ignore").decode(),
        negative_prompt=negative.encode("utf-8", "ignore").decode(),
    )
    save_png(image(), cleaned, path)
    assert read_recipe(path) == cleaned


def test_other_tools_find_their_lines_in_it() -> None:
    first, negative, pairs = recipe_text(recipe(negative_prompt="rain")).split("\n")
    assert first == "a photo of <biscuit> next to <mug:0.55>"
    assert negative == "Negative prompt: rain"
    assert pairs.startswith(
        "Steps: 20, Sampler: ddim, CFG scale: 4.5, Seed: 7, Size: 128x96, Model hash: 0123456789, Model: "
        "pocket, "
    )


def test_placeholders_keep_their_brackets(tmp_path: Path) -> None:
    save_png(image(), recipe(), tmp_path / "image.png")
    assert "<biscuit>" in Image.open(tmp_path / "image.png").info[CHUNK]


def test_another_tools_image_gives_what_it_has(tmp_path: Path) -> None:
    text = (
        "a castle, (night:1.2)\nsecond line\nNegative prompt: blurry, low\n"
        'Steps: 28, Sampler: Euler a, CFG scale: 6.5, Seed: 12345, Size: 512x768, Model: some, Note: "a, b: '
        'c"'
    )
    path = foreign(tmp_path / "other.png", text)
    assert read_any_recipe(path) == ForeignRecipe(
        prompt="a castle, (night:1.2)\nsecond line",
        negative_prompt="blurry, low",
        seed=12345,
        steps=28,
        guidance=6.5,
        width=512,
        height=768,
        sampler="Euler a",
    )
    with pytest.raises(PerfusionError, match=r"other\.png was made by another tool"):
        read_recipe(path)


def concept_with(**changes: object) -> dict[str, object]:
    return {**recipe().concepts[0].model_dump(), **changes}


def embedded(data: object) -> str:
    return f"p\nSteps: 3, Perfusion recipe: {json.dumps(json.dumps(data))}"


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (embedded({}), "damaged"),
        (embedded([]), "damaged"),
        (embedded({**recipe().model_dump(), "extra": 1}), "extra"),
        (embedded({**recipe().model_dump(), "seed": -1}), "seed"),
        (embedded({**recipe().model_dump(), "seed": "7"}), "seed"),
        (embedded({**recipe().model_dump(), "steps": 10**9}), "steps"),
        (embedded({**recipe().model_dump(), "guidance": float("nan")}), "guidance"),
        (embedded({**recipe().model_dump(), "format_version": 3}), "format 3"),
        (embedded({**recipe().model_dump(), "steps": 1e308}), "steps"),
        (embedded({**recipe().model_dump(), "steps": "many"}), "steps"),
        (embedded({**recipe().model_dump(), "guidance": 1e308}), "guidance"),
        (embedded({**recipe().model_dump(), "width": 10**6}), "width"),
        (embedded({**recipe().model_dump(), "prompt": "x" * 50_000}), "prompt"),
        (embedded({**recipe().model_dump(), "base": "x" * 5_000}), "base"),
        (embedded({**recipe().model_dump(), "prompt": "half \ud800"}), "prompt"),
        (embedded({**recipe().model_dump(), "concepts": [concept_with(bias=1e9)]}), "bias"),
        (
            embedded({**recipe().model_dump(), "concepts": [concept_with(name="../../etc")]}),
            "cannot be a name",
        ),
        (embedded({**recipe().model_dump(), "concepts": [concept_with()] * 65}), "concepts"),
        (embedded({**recipe().model_dump(), "x\x1b[31m": 1}), "x\\\\x1b"),
        (embedded({**recipe().model_dump()}).replace("4.5", "4" * 5_000), "damaged"),
        (embedded({"format_version": 10**4000}), "format 100000000"),
        ("p\nSteps: 3, Perfusion recipe: {not quoted", "damaged"),
        ('p\nSteps: 3, Perfusion recipe: "{"', "damaged"),
        ("p\nSteps: 3, Perfusion recipe: " + json.dumps("[" * 100_000), "damaged"),
        ("just some words", "not in a form"),
        ("   ", "no recipe"),
        ("x" * 300_000, "too long"),
    ],
)
def test_damaged_recipes_are_refused_with_the_reason(tmp_path: Path, text: str, reason: str) -> None:
    path = foreign(tmp_path / "bad.png", text)
    with pytest.raises(PerfusionError, match=reason) as refusal:
        read_any_recipe(path)
    assert "bad.png" in str(refusal.value)
    assert str(refusal.value).isprintable()
    assert len(str(refusal.value)) < 400


def test_a_png_without_a_recipe_says_so(tmp_path: Path) -> None:
    (tmp_path / "plain.png").write_bytes(png_bytes(image()))
    with pytest.raises(PerfusionError, match=r"plain\.png carries no recipe"):
        read_recipe(tmp_path / "plain.png")


@pytest.mark.parametrize("content", [b"", b"GIF89a", b"\x89PNG\r\n\x1a\n", b"\x89PNG\r\n\x1a\n" + b"\0" * 64])
def test_what_is_no_png_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "odd.png").write_bytes(content)
    with pytest.raises(PerfusionError, match=r"odd\.png"):
        read_any_recipe(tmp_path / "odd.png")


def test_a_truncated_png_is_read_or_refused_but_never_crashes(tmp_path: Path) -> None:
    whole = png_bytes(image(), recipe())
    path = tmp_path / "cut.png"
    refusals: list[str] = []
    for length in range(0, len(whole), 37):
        path.write_bytes(whole[:length])
        try:
            read_any_recipe(path)
        except PerfusionError as refusal:
            refusals.append(str(refusal))
    assert refusals
    assert all("cut.png" in refusal for refusal in refusals)


def test_a_missing_file_and_a_jpeg_are_refused(tmp_path: Path) -> None:
    image().save(tmp_path / "photo.png", format="JPEG")
    for name in ("photo.png", "nowhere.png"):
        with pytest.raises(PerfusionError, match=name):
            read_recipe(tmp_path / name)
    with pytest.raises(PerfusionError, match=tmp_path.name):
        read_recipe(tmp_path)


@pytest.mark.parametrize("size", [(13_312, 13_312), (16_384, 16_384), (16_385, 1), (1, 2**31)])
@pytest.mark.parametrize("with_recipe", [True, False])
def test_a_huge_image_is_judged_without_its_pixels(
    tmp_path: Path, size: tuple[int, int], with_recipe: bool
) -> None:
    content = bytearray(png_bytes(image(), recipe() if with_recipe else None))
    content[16:24] = size[0].to_bytes(4, "big") + size[1].to_bytes(4, "big")
    path = tmp_path / "huge.png"
    path.write_bytes(content)
    tracemalloc.start()
    if with_recipe and max(size) <= 16_384:
        assert read_recipe(path) == recipe()
    else:
        with pytest.raises(PerfusionError, match=r"huge\.png (carries no recipe|.*larger than any)"):
            read_any_recipe(path)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 2**20


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("international", [False, True])
def test_the_text_is_found_in_each_of_its_forms_and_after_the_pixels_too(
    tmp_path: Path, packed: bool, international: bool
) -> None:
    info = PngInfo()
    add = info.add_itxt if international else info.add_text
    add(CHUNK, "a castle\nSteps: 28, Seed: 7", zip=packed)
    image().save(tmp_path / "before.png", pnginfo=info)
    content = (tmp_path / "before.png").read_bytes()
    kind = b"iTXt" if international else b"zTXt" if packed else b"tEXt"
    start = content.index(kind) - 4
    end = start + 12 + int.from_bytes(content[start : start + 4], "big")
    chunk, rest = content[start:end], content[:start] + content[end:]
    (tmp_path / "after.png").write_bytes(rest[:-12] + chunk + rest[-12:])
    for name in ("before.png", "after.png"):
        assert read_any_recipe(tmp_path / name) == ForeignRecipe(prompt="a castle", steps=28, seed=7)


def test_a_text_that_inflates_without_end_is_not_inflated(tmp_path: Path) -> None:
    info = PngInfo()
    info.add_text(CHUNK, "x" * 50_000_000, zip=True)
    image().save(tmp_path / "bomb.png", pnginfo=info)
    tracemalloc.start()
    with pytest.raises(PerfusionError, match=r"bomb\.png .*too long"):
        read_any_recipe(tmp_path / "bomb.png")
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 2 * 2**20


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no pipes in its folders")
def test_a_pipe_and_a_device_are_never_opened(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.png")
    for path in (tmp_path / "pipe.png", Path("/dev/zero")):
        with pytest.raises(PerfusionError, match="not a plain file"):
            read_any_recipe(path)


def test_what_another_tool_says_beyond_all_measure_is_left_out(tmp_path: Path) -> None:
    text = (
        f"a castle\nSteps: {10**17}, CFG scale: 999999, Seed: {10**30}, Size: 9x99999, Sampler: {'x' * 500}"
    )
    found = read_any_recipe(foreign(tmp_path / "other.png", text))
    assert found == ForeignRecipe(prompt="a castle", sampler="x" * 60)


def test_a_prompt_of_another_tool_has_its_limit(tmp_path: Path) -> None:
    with pytest.raises(PerfusionError, match=r"other\.png has more than"):
        read_any_recipe(foreign(tmp_path / "other.png", "x" * 60_000 + "\nSteps: 3"))
