from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from PIL import Image, ImageDraw

from perfusion_core.cli.main import main
from perfusion_core.sampling.operating_points import RANGES
from perfusion_core.sampling.png import png_bytes, read_recipe

ROOT = Path(__file__).parents[2]
SETTINGS = ("steps=4", "checkpoint_every=2", "batch_size=2", "validation_steps=1")


@pytest.fixture
def base(tiny_folder: Path, tiny_covariance: Any, monkeypatch: pytest.MonkeyPatch) -> str:
    from perfusion_core.model import statistics
    from perfusion_core.model.statistics import CovarianceStats

    stats = CovarianceStats(tiny_covariance, "tiny", 1.0)
    monkeypatch.setattr(statistics, "covariance_for", lambda *_a, **_k: stats)
    return str(tiny_folder)


@pytest.fixture
def photo(tmp_path: Path) -> str:
    image = Image.new("RGB", (80, 80), "lightblue")
    ImageDraw.Draw(image).ellipse((20, 20, 60, 60), fill="brown")
    image.save(tmp_path / "dog.png")
    return str(tmp_path / "dog.png")


def teach(base: str, photo: str, *more: str) -> list[str]:
    chosen = [part for setting in SETTINGS for part in ("--set", setting)]
    about = ["--photos", photo, "--name", "Biscuit", "--superclass", "dog", "--base", base, "--mask", "none"]
    return ["teach", *about, *chosen, *more]


def test_the_whole_journey_from_photos_to_a_repeated_image(
    home: Path, base: str, photo: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(teach(base, photo)) == 0
    assert "<biscuit> is in the library" in capsys.readouterr().out

    prompt = "a photo of <biscuit> on the beach"
    assert main(["generate", prompt, "-n", "2", "--seed", "7", "--steps", "2", "--base", base]) == 0
    paths = [Path(line) for line in capsys.readouterr().out.splitlines()]
    assert [read_recipe(path).seed for path in paths] == [7, 8]
    assert paths[0].parent == Path("outputs")

    assert main(["recipe", str(paths[1])]) == 0
    shown = capsys.readouterr().out
    assert f"prompt: {prompt}" in shown
    assert "concept: <biscuit> (dog)" in shown
    assert main(["recipe", str(paths[1]), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["seed"] == 8

    # Of another order, and alone: the same bits.
    assert main(["generate", "--from", str(paths[1]), "--base", base]) == 0
    again = Path(capsys.readouterr().out.strip())
    assert again.read_bytes() == paths[1].read_bytes()

    asked = ["--points", "2", "--seeds", "2", "--steps", "1", "--seed", "1"]
    assert main(["--base", base, "front", prompt, *asked]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith(f"bias {RANGES['local'].prompt_end:.2f}")
    assert Path(lines[-2]).name == "strip.png"
    assert len(json.loads(Path(lines[-1]).read_text("utf-8"))["files"]) == 4


def test_the_library_verbs(
    home: Path, tiny_base: Any, make_concept: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    from perfusion_core.concept import save_concept

    gift = home / "gift.safetensors"
    save_concept(make_concept(tiny_base), gift)

    def said(*arguments: str, code: int = 0) -> str:
        assert main(["library", *arguments]) == code
        captured = capsys.readouterr()
        return captured.err if code else captured.out

    (home / "home" / "library").mkdir(parents=True)  # not a new one, which would hold the bundled concepts
    assert said() == ""
    assert "<biscuit> is in the library" in said("import", str(gift))
    assert "already" in said("import", str(gift), code=2)
    assert "<second>" in said("import", str(gift), "--name", "second")
    assert "<biscuit>  dog  tiny" in said("list")
    assert "<keks>" in said("rename", "biscuit", "Keks")
    said("notes", "keks", "eats everything")
    assert "0.7" in said("bias", "keks", "0.7")
    shown = json.loads(said("show", "keks"))
    assert (shown["notes"], shown["bias"]["local"]) == ("eats everything", 0.7)
    assert Path(said("export", "keks", str(home), "--compact").strip()).is_file()
    assert "library restore keks" in said("delete", "keks")
    assert "<keks>  deleted" in said("trash")
    assert "<keks> is back" in said("restore")
    assert "trash" in said("restore", "keks", code=2)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["generate"], "Say what to show"),
        (["generate", "a <teapot>"], "<teapot>"),
        (["generate", "a dog", "--size", "big"], "--size"),
        (["generate", "a dog", "--bias", "x=y"], "--bias"),
        (["generate", "a dog", "--base", "/no/such/model"], "/no/such/model"),
        (["generate", "a dog", "--from", "x.png"], "leave the prompt out"),
        (["generate", "--from", "nowhere.png"], "nowhere.png"),
        (["front", "a dog"], "names none"),
        (["grid", "a dog"], "names 0"),
        (["evaluate", "teapot"], "<teapot>"),
        (["recipe", "plain.png"], "carries no recipe"),
        (["teach", "--name", "x"], "--photos and --superclass"),
        (["teach", "--resume"], "no unfinished teaching"),
        (["teach", "--photos", "plain.png", "--name", "a b", "--superclass", "dog"], "without spaces"),
        (["teach", "--photos", "none.jpg", "--name", "x", "--superclass", "dog"], "none.jpg"),
        (
            ["teach", "--photos", "plain.png", "--name", "x", "--superclass", "dog", "--set", "q"],
            "SETTING=VALUE",
        ),
        (["teach", "--photos", "plain.png", "--name", "x", "--superclass", "dog", "--mask", "q"], "folder q"),
        (["library", "show", "teapot"], "<teapot>"),
        (["library", "import", "plain.png"], "plain.png"),
    ],
)
def test_what_cannot_be_done_is_one_line_and_exit_code_2(
    home: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], words: str
) -> None:
    (home / "plain.png").write_bytes(png_bytes(Image.new("RGB", (8, 8))))
    assert main(arguments) == 2
    lines = [line for line in capsys.readouterr().err.splitlines() if not line.startswith("seed ")]
    assert len(lines) == 1
    assert lines[0].startswith("error: ")
    assert words in lines[0]


def run(*arguments: str, **options: Any) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, str(ROOT / "app.py"), *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        **options,
    )


def test_ctrl_c_keeps_the_checkpoint_and_resume_comes_to_the_same_concept(
    home: Path, base: str, photo: str, tiny_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    long = ["--set", "steps=40", "--set", "checkpoint_every=40"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    _put_statistics_beside(tiny_folder)
    process = run(*teach(str(tiny_folder), photo, *long), env=environment)
    assert process.stderr is not None
    seen = ""
    while " 2/40" not in seen:  # in the middle of its steps
        part = process.stderr.read(1)
        assert part, seen
        seen += part
    process.send_signal(signal.SIGINT)
    _, rest = process.communicate(timeout=120)
    assert process.returncode == 130, seen + rest
    assert "python app.py teach --resume biscuit" in rest

    assert run("teach", "--resume", env=environment).wait(300) == 0
    from perfusion_core.studio.library.library import Library

    resumed = Library(home / "home").load("biscuit")
    assert run(*teach(str(tiny_folder), photo, *long, "--overwrite"), env=environment).wait(300) == 0
    assert Library(home / "home").load("biscuit").content_hash == resumed.content_hash


def _put_statistics_beside(folder: Path) -> None:
    """Known statistics in the base's folder, so that a process of its own need not read all captions."""
    from perfusion_core.model.base import load_base
    from perfusion_core.model.statistics import covariance_for

    if not (folder / "covariance.safetensors").exists():
        cache = folder.parent / "cache"
        covariance_for(load_base(folder), cache, captions=["a photo of a dog", "a cat"] * 40, progress=False)
        (found,) = cache.rglob("*.safetensors")
        (folder / "covariance.safetensors").write_bytes(found.read_bytes())


def test_teaching_beside_the_running_app_or_another_teaching_is_refused_in_words(
    home: Path, base: str, photo: str, capsys: pytest.CaptureFixture[str]
) -> None:
    from perfusion_core.studio.jobs.worker import owner_lock

    with owner_lock(home / "home"):
        for verb in (teach(base, photo), ["teach", "--resume"]):
            assert main(verb) == 2
            said = capsys.readouterr().err
            assert "already at work in" in said
            assert "PERFUSION_HOME" in said
    from perfusion_core.studio.library.library import Library

    assert Library(home / "home").unfinished() == []
    assert main(teach(base, photo)) == 0


def test_a_refused_base_leaves_nothing_of_the_teaching_behind(
    home: Path, photo: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (home / "home" / "library").mkdir(parents=True)
    assert main(teach(str(home / "no-such-base"), photo)) == 2
    assert "no-such-base" in capsys.readouterr().err
    assert [path for path in (home / "home" / "library").glob("*") if path.name != ".lock"] == []
    assert main(["teach", "--resume"]) == 2


def test_the_bundled_concepts_are_there_on_a_fresh_home_whichever_verb_comes_first(
    home: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for verb, words in (
        (["library"], "<trekker>"),
        (["generate", "a <teapot>"], "<blaze>, <trekker>"),
        (["evaluate", "teapot"], "<blaze>, <trekker>"),
    ):
        monkeypatch.setenv("PERFUSION_HOME", str(home / verb[0]))
        main(verb)
        captured = capsys.readouterr()
        assert words in captured.out + captured.err


def test_an_unknown_concept_in_the_negative_prompt_is_named_before_a_model_is_loaded(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["generate", "a dog", "--negative", "a <teapot>", "--base", "/no/such/model"]) == 2
    assert "<teapot>" in capsys.readouterr().err


def test_help_imports_nothing_heavy() -> None:
    program = (
        "import sys\nfrom perfusion_core.cli.main import main\n"
        "try: main(sys.argv[1:])\n"
        "except SystemExit: print([m for m in ('torch', 'pydantic', 'PIL', 'tqdm') if m in sys.modules])\n"
    )
    for arguments in (["--help"], ["teach", "--help"], ["library", "import", "--help"]):
        answer = subprocess.run(
            [sys.executable, "-c", program, *arguments], capture_output=True, text=True, check=True, cwd=ROOT
        )
        assert "usage: app.py" in answer.stdout
        assert answer.stdout.splitlines()[-1] == "[]"


def test_every_verb_of_the_manual_is_there(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["--help"])
    assert ended.value.code == 0
    shown = capsys.readouterr().out
    for verb in ("teach", "generate", "front", "grid", "evaluate", "recipe", "library", "bases", "words"):
        assert f"\n    {verb} " in shown
