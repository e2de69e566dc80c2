"""`--lora FILE[:WEIGHT]`: images with LoRAs, what their recipes say, and repeating them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from PIL import Image

from perfusion_core.cli.main import main
from perfusion_core.model.lora_files import content_hash
from perfusion_core.sampling.png import png_bytes, read_recipe
from tests.lora_files import save_lora

DRAW = ["generate", "a photo of a dog", "--seed", "7", "--steps", "2"]


def draw(capsys: pytest.CaptureFixture[str], *arguments: str) -> Path:
    assert main([*arguments]) == 0
    return Path(capsys.readouterr().out.splitlines()[-1])


def test_an_image_with_loras_says_so_and_is_repeated_with_them_alone(
    home: Path, tiny_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    base = ["--base", str(tiny_folder), "--device", "cpu"]
    style = save_lora(home / "style.safetensors", seed=1)
    ink = save_lora(home / "home" / "loras" / "ink.safetensors", seed=2)
    plain = draw(capsys, *DRAW, *base)
    made = draw(capsys, *DRAW, *base, "--lora", str(style), "--lora", "ink:0.5")
    recipe = read_recipe(made)
    assert [(one.name, one.content_hash, one.weight) for one in recipe.loras] == [
        ("style.safetensors", content_hash(style), 1.0),
        ("ink.safetensors", content_hash(ink), 0.5),
    ]
    assert recipe.format_version == 2
    assert made.read_bytes() != plain.read_bytes()
    assert main(["recipe", str(made)]) == 0
    assert "LoRA: ink.safetensors, weight 0.5, " + content_hash(ink)[:12] in capsys.readouterr().out

    again = ["generate", "--from", str(made), *base]
    repeated = draw(capsys, *again, "--lora", str(style))  # the other is in the folder
    assert repeated.read_bytes() == made.read_bytes()

    assert main(again) == 2
    said = capsys.readouterr().err
    assert "style.safetensors" in said
    assert content_hash(style)[:12] in said
    assert "ink" not in said

    without = draw(capsys, *again, "--anyway")
    assert [one.name for one in read_recipe(without).loras] == ["ink.safetensors"]

    renamed = style.rename(home / "home" / "loras" / "other name.safetensors")
    by_content = draw(capsys, *again)
    assert Image.open(by_content).tobytes() == Image.open(made).tobytes()
    assert [one.name for one in read_recipe(by_content).loras] == ["other name.safetensors", ink.name]
    assert main(["generate", "--from", str(plain), *base, "--lora", str(renamed)]) == 2
    assert "made without other name.safetensors" in capsys.readouterr().err


def test_an_image_without_loras_has_the_recipe_that_earlier_versions_read(
    home: Path, tiny_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    plain = draw(capsys, *DRAW, "--base", str(tiny_folder), "--device", "cpu")
    assert b"loras" not in plain.read_bytes()
    assert read_recipe(plain).format_version == 1


def test_a_foreign_recipe_never_makes_a_path_of_its_loras_name(
    home: Path, tiny_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    base = ["--base", str(tiny_folder), "--device", "cpu"]
    secret = save_lora(home / "elsewhere" / "style.safetensors")
    made = draw(capsys, *DRAW, *base, "--lora", str(secret))
    recipe = read_recipe(made)
    worded = recipe.model_copy(
        update={"loras": [recipe.loras[0].model_copy(update={"name": str(secret.absolute())})]}
    )
    made.write_bytes(png_bytes(Image.open(made), worded))
    assert main(["generate", "--from", str(made), *base]) == 2
    assert "is not on this machine" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ("none.safetensors", "There is no LoRA none.safetensors"),
        ("style.safetensors:9", "between -4 and 4"),
        ("style.safetensors:nan", "between -4 and 4"),
        ("style.safetensors:much", "FILE:WEIGHT"),
        ("~nobody-here/x", "safetensors only"),
        ("", "safetensors only"),
        ("x" * 5000, "safetensors only"),
    ],
)
def test_what_cannot_be_used_is_said_before_a_base_is_loaded(
    home: Path, tiny_folder: Path, capsys: pytest.CaptureFixture[str], given: str, words: str
) -> None:
    save_lora(home / "style.safetensors")
    assert main([*DRAW, "--base", str(tiny_folder / "none"), "--lora", given]) == 2
    assert words in capsys.readouterr().err


def test_a_weight_with_from_is_refused(
    home: Path, tiny_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    base = ["--base", str(tiny_folder), "--device", "cpu"]
    save_lora(home / "style.safetensors")
    made = draw(capsys, *DRAW, *base, "--lora", "style.safetensors")
    assert main(["generate", "--from", str(made), *base, "--lora", "style.safetensors:1"]) == 2
    assert "says the weight" in capsys.readouterr().err


def test_an_lcm_lora_draws_in_few_steps(
    home: Path, tiny_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lora = save_lora(home / "lcm-lora.safetensors")
    base = ["--base", str(tiny_folder), "--device", "cpu"]
    made = read_recipe(draw(capsys, "generate", "a dog", "--seed", "1", *base, "--lora", str(lora)))
    assert (made.steps, made.scheduler, made.guidance) == (4, "lcm", 1.0)


def test_generate_all_draws_with_loras_and_knows_its_images_by_them(
    home: Path, tiny_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (home / "p.jsonl").write_text(json.dumps({"prompt": "a photo of a dog", "seed": 7, "steps": 2}))
    lora = save_lora(home / "style.safetensors")
    base = ["--base", str(tiny_folder), "--device", "cpu"]
    command = ["generate-all", "p.jsonl", "--workers", "1", *base]
    assert main([*command, "--lora", f"{lora}:0.5"]) == 0
    image = next((home / "p-images" / "images").iterdir())
    first = image.read_bytes()
    assert [(one.name, one.weight) for one in read_recipe(image).loras] == [("style.safetensors", 0.5)]
    assert main(command) == 0
    assert read_recipe(image).loras == []
    assert image.read_bytes() != first
