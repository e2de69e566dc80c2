"""What the browser may read."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from perfusion_core.ui.served import Served


def test_a_shown_image_is_a_copy_with_the_same_bytes_in_the_served_folder(tmp_path: Path) -> None:
    served = Served(tmp_path / "served")
    image = tmp_path / "made.png"
    image.write_bytes(b"first")
    copy = served.copy(image)
    assert copy.read_bytes() == b"first"
    assert copy.is_relative_to(served.folder)
    image.write_bytes(b"second version")
    assert served.copy(image).read_bytes() == b"second version"


def test_only_images_and_exports_are_ever_copied(tmp_path: Path) -> None:
    secret = tmp_path / "job.json"
    secret.write_text("{}")
    with pytest.raises(ValueError, match=r"job\.json"):
        Served(tmp_path / "served").copy(secret)


def test_an_image_that_is_gone_has_no_address(tmp_path: Path) -> None:
    assert Served(tmp_path / "served").url(tmp_path / "gone.png") == ""


def test_copies_of_an_earlier_start_are_removed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GRADIO_TEMP_DIR", "")
    served = Served(tmp_path / "served")
    served.folder.mkdir()
    (served.folder / "old.png").write_bytes(b"")
    served.prepare()
    assert list(served.folder.iterdir()) == []
    assert os.environ["GRADIO_TEMP_DIR"] == str(served.folder)
