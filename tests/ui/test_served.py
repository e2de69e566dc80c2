"""What the browser may read, and how things are said there."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from perfusion_core.ui.create.form_values import Asked, form_values
from perfusion_core.ui.explore.scatter import Dot, scatter
from perfusion_core.ui.html import ago, duration, note, size
from perfusion_core.ui.served import Served


def test_a_shown_picture_is_a_copy_with_the_same_bytes_in_the_served_folder(tmp_path: Path) -> None:
    served = Served(tmp_path / "served")
    picture = tmp_path / "made.png"
    picture.write_bytes(b"first")
    copy = served.copy(picture)
    assert copy.read_bytes() == b"first"
    assert copy.is_relative_to(served.folder)
    picture.write_bytes(b"second version")
    assert served.copy(picture).read_bytes() == b"second version"


def test_only_pictures_and_exports_are_ever_copied(tmp_path: Path) -> None:
    secret = tmp_path / "job.json"
    secret.write_text("{}")
    with pytest.raises(ValueError, match=r"job\.json"):
        Served(tmp_path / "served").copy(secret)


def test_a_picture_that_is_gone_has_no_address(tmp_path: Path) -> None:
    assert Served(tmp_path / "served").url(tmp_path / "gone.png") == ""


def test_copies_of_an_earlier_start_are_removed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GRADIO_TEMP_DIR", "")
    served = Served(tmp_path / "served")
    served.folder.mkdir()
    (served.folder / "old.png").write_bytes(b"")
    served.prepare()
    assert list(served.folder.iterdir()) == []
    assert os.environ["GRADIO_TEMP_DIR"] == str(served.folder)


def test_text_from_anyone_is_shown_as_text() -> None:
    assert "<img" not in note("<img src=x onerror=alert(1)>", "problem")
    assert "alert" in note("<img src=x onerror=alert(1)>", "problem")
    assert note("") == ""


@pytest.mark.parametrize(
    ("seconds", "said"), [(None, "–"), (8.4, "8 s"), (200, "3 min 20 s"), (180, "3 min"), (3900, "1 h 5 min")]
)
def test_times_are_said_as_people_say_them(seconds: float | None, said: str) -> None:
    assert duration(seconds) == said


def test_ages_and_sizes_are_rounded() -> None:
    assert ago(0.0, now=59) == "just now"
    assert ago(0.0, now=3600) == "1 hour ago"
    assert ago(0.0, now=86_400 * 2.5) == "2 days ago"
    assert (size(999), size(98_400), size(2_500_000)) == ("999 B", "98 kB", "2.5 MB")


def test_zeros_in_the_form_mean_the_base_models_own_values() -> None:
    asked = Asked.of("a <mug>", "", 7, 2, 0, 0, 0, 0, "", "local").request({"mug": 100})
    assert (asked.steps, asked.guidance, asked.width, asked.scheduler) == (None, None, None, None)
    assert (asked.seed, asked.count) == (7, 2)
    assert asked.biases["mug"] == pytest.approx(0.4)


def test_a_recipe_fills_every_field_of_the_form() -> None:
    from perfusion_core.sampling.png import ImageRecipe

    recipe = ImageRecipe(
        prompt="a dog",
        seed=3,
        steps=9,
        guidance=2.0,
        width=128,
        height=64,
        scheduler="euler",
        lock="global",
        base="pocket",
        base_fingerprint="f",
    )
    assert form_values(recipe) == ["a dog", "", 3, 1, 9, 2.0, 128, 64, "euler", "global"]


def test_every_point_of_a_front_can_be_chosen_with_the_keyboard() -> None:
    drawn = scatter([Dot(0, 0.9, 0.5, 0.3), Dot(1, 0.5, 0.7, 0.2)], marked=1)
    assert drawn.count('tabindex="0"') == 2
    assert drawn.count("dot-marked") == 1
    assert scatter([], None) == ""
