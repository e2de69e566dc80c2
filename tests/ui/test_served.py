"""What the browser may read."""

from __future__ import annotations

import errno
import os
import shutil
from pathlib import Path

import pytest

from perfusion_core.ui.create import recent_images
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


def test_a_full_disk_leaves_an_image_out_and_no_half_copy_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    served = Served(tmp_path / "served")
    images = [tmp_path / f"{name}.png" for name in ("one", "two", "gone")]
    for image in images[:2]:
        image.write_bytes(b"pixels")
    served.copy(images[0])

    def full(_source: Path, target: Path) -> None:
        Path(target).write_bytes(b"pix")
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(shutil, "copyfile", full)
        assert [Path(copy).name for copy in served.copies(images)] == ["one.png"]
        assert served.url(images[1]) == ""
        words = recent_images.not_shown(images[:2], served)
    assert str(tmp_path) in words
    assert "1 of 2" in words
    assert {path.name for path in served.folder.rglob("*") if path.is_file()} == {"one.png"}
    assert len(served.copies(images)) == 2
    assert recent_images.not_shown(images[:2], served) == ""
