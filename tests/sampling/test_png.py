from __future__ import annotations

import json
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


def picture() -> Image.Image:
    return Image.linear_gradient("L").convert("RGB").resize((16, 12))


def foreign(path: Path, text: str, chunk: str = CHUNK) -> Path:
    info = PngInfo()
    info.add_text(chunk, text)
    picture().save(path, pnginfo=info)
    return path


def test_a_recipe_comes_back_exactly_and_the_pixels_too(tmp_path: Path) -> None:
    path = save_png(picture(), recipe(), tmp_path / "image.png")
    assert read_recipe(path) == recipe()
    assert Image.open(path).tobytes() == picture().tobytes()


@given(prompt=st.text(min_size=1, max_size=200), negative=st.text(max_size=80))
def test_any_prompt_survives(tmp_path_factory: pytest.TempPathFactory, prompt: str, negative: str) -> None:
    path = tmp_path_factory.mktemp("png") / "image.png"
    cleaned = recipe(
        prompt=prompt.encode("utf-8", "ignore").decode(),
        negative_prompt=negative.encode("utf-8", "ignore").decode(),
    )
    save_png(picture(), cleaned, path)
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
    save_png(picture(), recipe(), tmp_path / "image.png")
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
        (embedded({**recipe().model_dump(), "format_version": 2}), "format 2"),
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


def test_a_png_without_a_recipe_says_so(tmp_path: Path) -> None:
    (tmp_path / "plain.png").write_bytes(png_bytes(picture()))
    with pytest.raises(PerfusionError, match=r"plain\.png carries no recipe"):
        read_recipe(tmp_path / "plain.png")


@pytest.mark.parametrize("content", [b"", b"GIF89a", b"\x89PNG\r\n\x1a\n", b"\x89PNG\r\n\x1a\n" + b"\0" * 64])
def test_what_is_no_png_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "odd.png").write_bytes(content)
    with pytest.raises(PerfusionError, match=r"odd\.png"):
        read_any_recipe(tmp_path / "odd.png")


def test_a_truncated_png_is_read_or_refused_but_never_crashes(tmp_path: Path) -> None:
    whole = png_bytes(picture(), recipe())
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
    picture().save(tmp_path / "photo.png", format="JPEG")
    for name in ("photo.png", "nowhere.png"):
        with pytest.raises(PerfusionError, match=name):
            read_recipe(tmp_path / name)
    with pytest.raises(PerfusionError, match=tmp_path.name):
        read_recipe(tmp_path)
