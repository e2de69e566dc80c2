"""Arguments, surroundings and files that no one should give, and somebody will: one clear line each."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from perfusion_core.cli.main import main
from perfusion_core.sampling.png import CHUNK, png_bytes
from perfusion_core.studio.library.bundled import FOLDER
from perfusion_core.studio.library.entry import CONCEPT_FILE

DIGITS, LONG, HALF, ESCAPE = "9" * 5000, "x" * 5000, "a \udcff", "\x1b[2J\x9b31m\u202e"
TEACH = ["teach", "--photos", "plain.png", "--name", "x", "--superclass", "dog", "--base"]
BASES = ["~nosuchuser", "~nosuchuser/model", LONG, HALF, ESCAPE, "y/" * 3000, "pipe.safetensors"]


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("PERFUSION_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "plain.png").write_bytes(png_bytes(Image.new("RGB", (80, 80))))
    for name in ("pipe", "pipe.png", "pipe.safetensors"):
        os.mkfifo(tmp_path / name)
    return tmp_path


def run(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> tuple[int, str]:
    """Exit code, and all that was printed; argparse ends the program by itself."""
    try:
        code = main(arguments)
    except SystemExit as end:
        code = int(str(end.code))
    printed = capsys.readouterr()
    return code, printed.out + printed.err


@pytest.mark.parametrize(
    "arguments",
    [
        *(["generate", "a dog", "--base", base] for base in BASES),
        *([*TEACH, base] for base in BASES),
        ["generate", HALF],
        ["generate", "a dog", "--negative", HALF],
        ["generate", LONG],
        ["generate", f"a <x:{DIGITS}>"],
        ["generate", f"a <{ESCAPE}>"],
        ["generate", "a dog", "--seed", DIGITS],
        ["generate", "a dog", "--seed", "9" * 30],
        ["generate", "a dog", "--size", f"{DIGITS}x{DIGITS}"],
        ["generate", "a dog", "--size", "²x²"],
        ["generate", "a dog", "--guidance", "1e999"],
        ["generate", "a dog", "--bias", f"x={DIGITS}"],
        ["generate", "a dog", "--bias", "x=nan"],
        ["generate", "--from", "pipe.png"],
        ["generate", "--from", LONG],
        ["generate", "--from", "nul\0"],
        ["front", "a <x>", "--points", "9" * 30],
        ["recipe", "pipe"],
        ["recipe", LONG],
        ["recipe", HALF],
        ["recipe", "/dev/zero"],
        [*TEACH, "pocket", "--set", f"steps={DIGITS}"],
        [*TEACH, "pocket", "--set", "steps=0x" + "f" * 5000],
        [*TEACH, "pocket", "--set", "steps=" + "(" * 5000],
        [*TEACH, "pocket", "--set", f"{ESCAPE}=1"],
        [*TEACH, "pocket", "--set", ESCAPE],
        [*TEACH, "pocket", "--mask", LONG],
        [*TEACH, "pocket", "--photos", LONG],
        [*TEACH, "pocket", "--photos", "pipe.png"],
        [*TEACH, "pocket", "--photos", HALF],
        [*TEACH, "pocket", "--name", LONG],
        [*TEACH, "pocket", "--name", "a\u034fb"],
        [*TEACH, "pocket", "--superclass", HALF],
        [*TEACH, "pocket", "--superclass", LONG],
        [*TEACH, "pocket", "--superclass", " "],
        ["teach", "--resume", ESCAPE],
        ["library", "import", "pipe.safetensors"],
        ["library", "import", LONG],
        ["library", "import", HALF],
        ["library", "show", ESCAPE],
        ["library", "restore", ESCAPE],
        ["evaluate", ESCAPE],
    ],
    ids=lambda arguments: " ".join(map(ascii, arguments))[:60],
)
def test_what_cannot_be_is_one_printable_line(
    here: Path, capsys: pytest.CaptureFixture[str], arguments: list[str]
) -> None:
    code, printed = run(arguments, capsys)
    assert code == 2
    last = printed.splitlines()[-1]
    assert "error: " in last
    if last.startswith("error: "):  # ours, and not argparse's own about an option's form
        assert last.isprintable()
        assert len(last) < 700
    home = here / "home" / "library"
    left = [child for child in home.iterdir() if child.is_dir()] if home.exists() else []
    assert len(left) <= len(list(FOLDER.glob("*.safetensors")))  # the bundled concepts, and nothing begun
    assert all((child / CONCEPT_FILE).is_file() for child in left)


@pytest.mark.parametrize("variable", ["PERFUSION_HOME", "PERFUSION_MODELS"])
@pytest.mark.parametrize("value", ["~nosuchuser/x", LONG, HALF, "plain.png"])
def test_surroundings_that_cannot_be_are_named(
    here: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    variable: str,
    value: str,
) -> None:
    monkeypatch.setenv(variable, value)
    code, printed = run(["bases"], capsys)
    assert code == 2
    assert printed.startswith(f"error: {variable} is ")
    assert printed.rstrip("\n").isprintable()
    assert len(printed) < 500


@pytest.mark.parametrize(
    "preferences",
    [
        {"models": LONG},
        {"models": "/" + "x" * 300},
        {"models": "nul\0"},
        {"models": HALF},
        {"models": "~nosuchuser"},
        {"base": "~nosuchuser"},
        {"memory": 1e999},
    ],
    ids=lambda preferences: ascii(preferences)[:40],
)
def test_a_damaged_file_of_preferences_does_not_keep_the_lists_from_working(
    here: Path, capsys: pytest.CaptureFixture[str], preferences: dict[str, Any]
) -> None:
    from perfusion_core.studio.app import Studio
    from perfusion_core.studio.settings import preferred, settings_from

    (here / "home").mkdir()
    (here / "home" / "preferences.json").write_text(json.dumps(preferences))
    Studio(preferred(settings_from())).available_bases()
    assert run(["library"], capsys)[0] == 0


def test_escapes_in_a_file_are_shown_and_never_acted_on(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    info = PngInfo()
    info.add_itxt(CHUNK, f"a castle {ESCAPE}\nsecond\nSteps: 3, Sampler: {ESCAPE}, Seed: 5")
    Image.new("RGB", (8, 8)).save(here / "gift.png", pnginfo=info)
    code, printed = run(["recipe", "gift.png"], capsys)
    assert code == 0
    assert "a castle \\x1b[2J\\x9b31m\\u202e\\nsecond" in printed
    assert all(line.isprintable() for line in printed.splitlines())
    code, printed = run(["recipe", "gift.png", "--json"], capsys)
    assert json.loads(printed)["prompt"] == f"a castle {ESCAPE}\nsecond"
    assert all(line.isprintable() for line in printed.splitlines())
    (here / "gift.png").rename(here / f"gift{ESCAPE}.png")
    (here / "empty\x1b.safetensors").write_bytes(b"")
    for arguments in (
        ["generate", "--from", f"gift{ESCAPE}.png"],
        ["library", "import", "empty\x1b.safetensors"],
    ):
        code, printed = run(arguments, capsys)
        assert code == 2
        assert printed.rstrip("\n").isprintable()
