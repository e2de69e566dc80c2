"""Photos shown before they are learned from."""

from __future__ import annotations

import errno
import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageOps

from perfusion_core.errors import PerfusionError, PhotoError
from perfusion_core.studio.app import Studio
from perfusion_core.studio.bases import Missing
from perfusion_core.studio.teaching import staging as staging_module
from perfusion_core.studio.teaching.example_photos import example_set, example_sets
from perfusion_core.studio.teaching.staging import (
    Look,
    Staged,
    mirrored,
    overlay,
    stage,
    staging_file,
    with_masks,
)
from tests.tools.pocket.own_shapes import write


@pytest.fixture
def studio(settings: Any, loaded: Any) -> Studio:
    made = Studio(settings)
    made.bases._current = (settings.base, loaded)
    return made


def test_photos_become_square_thumbnails_under_names_of_our_own(studio: Studio, photos: list[Path]) -> None:
    staged = stage(studio.staging, [*photos, photos[0]])
    assert [one.source for one in staged] == [str(path) for path in photos]
    assert "same picture" in staged[0].warnings[0]
    with Image.open(staged[0].thumbnail) as image:
        assert image.width == image.height
    assert "photo" not in Path(staged[0].thumbnail).name


def test_what_is_no_photo_is_named_and_refused(studio: Studio, tmp_path: Path) -> None:
    bad = tmp_path / "menu.jpg"
    bad.write_bytes(b"%PDF-1.4")
    with pytest.raises(PhotoError, match=r"menu\.jpg"):
        stage(studio.staging, [bad])


def test_masks_pale_what_is_not_learned_from(studio: Studio, photos: list[Path]) -> None:
    staged, said = with_masks(studio.staging, stage(studio.staging, photos), Look("dog"))
    assert all(one.masked for one in staged)
    assert said == ""


def test_without_a_segmenter_the_photos_stay_and_it_is_said(
    studio: Studio, loaded: Any, photos: list[Path]
) -> None:
    loaded.__dict__["segmenter"] = Missing("It is not here.")
    before = stage(studio.staging, photos)
    staged, said = with_masks(studio.staging, before, Look("dog"))
    assert not any(one.masked for one in staged)
    assert "It is not here." in said


def test_the_subject_keeps_its_colours_in_an_overlay() -> None:
    image = Image.new("RGB", (4, 4), (10, 20, 30))
    mask = np.zeros((4, 4))
    mask[0, 0] = 1
    shown = overlay(image, mask)
    assert shown.getpixel((0, 0)) == (10, 20, 30)
    assert shown.getpixel((3, 3)) != (10, 20, 30)


def test_the_example_sets_have_photos_a_title_and_a_kind() -> None:
    sets = example_sets()
    assert len(sets) >= 2
    assert all(one.photos and one.title and one.superclass for one in sets)
    assert example_set(sets[0].name) == sets[0]
    assert example_set("../etc") is None


def test_drawings_without_a_title_are_a_set_named_by_their_name(tmp_path: Path) -> None:
    write(tmp_path)
    assert [(one.name, one.title, len(one.photos)) for one in example_sets(tmp_path)] == [
        (name, name, 5) for name in ("bird", "tractor", "windmill")
    ]


class OrangeSegmenter:
    """Sees what is orange."""

    def soft_masks(self, images: list[Image.Image], superclass: str) -> list[np.ndarray]:
        pixels = [np.asarray(image.convert("RGB"), dtype=np.float32) for image in images]
        return [((one[..., 0] - one[..., 2]) > 100).astype(np.float32) for one in pixels]


def boot(path: Path, x: int = 20, *, turned: bool = False) -> Path:
    """An orange shaft on a foot that points to the right, or turned to the left."""
    image = Image.new("RGB", (96, 96), "lightblue")
    draw = ImageDraw.Draw(image)
    draw.rectangle((x, 15, x + 15, 70), fill="orange")
    draw.rectangle((x, 70, x + 50, 85), fill="orange")
    (ImageOps.mirror(image) if turned else image).save(path)
    return path


def test_photos_that_face_the_other_way_are_said_and_mirrored(
    studio: Studio, loaded: Any, tmp_path: Path
) -> None:
    loaded.__dict__["segmenter"] = OrangeSegmenter()
    paths = [boot(tmp_path / f"{x}.png", x, turned=x == 24) for x in (20, 24, 30)]
    staged, _ = with_masks(studio.staging, stage(studio.staging, paths), Look("boot"))
    assert [one.away for one in staged] == [False, True, False]
    before = paths[1].read_bytes()
    turned = [mirrored(studio.staging, one) if one.away else one for one in staged]
    assert paths[1].read_bytes() == before
    assert turned[1].name == "24.png"
    with Image.open(turned[1].source) as now, Image.open(boot(tmp_path / "right.png", 24)) as right:
        assert now.convert("RGB").tobytes() == right.convert("RGB").tobytes()
    again, _ = with_masks(studio.staging, turned, Look("boot"))
    assert not any(one.away for one in again)


def test_a_mirrored_photo_keeps_its_square_and_mask(studio: Studio, tmp_path: Path) -> None:
    path = boot(tmp_path / "boot.png")
    (one,) = stage(studio.staging, [path])
    mask = tmp_path / "mask.png"
    drawn = Image.new("L", (60, 60))
    drawn.paste(255, (0, 0, 10, 60))
    drawn.save(mask)
    made = mirrored(studio.staging, replace(one, crop=(5, 10, 65, 70), mask=str(mask)))
    assert made.crop == (96 - 65, 10, 96 - 5, 70)
    with Image.open(made.mask) as turned:
        assert turned.crop((50, 0, 60, 60)).getextrema() == (255, 255)
        assert turned.crop((0, 0, 50, 60)).getextrema() == (0, 0)
    back = mirrored(studio.staging, made)
    assert back.crop == (5, 10, 65, 70)
    with Image.open(back.source) as now, Image.open(path) as first:
        assert now.convert("RGB").tobytes() == first.convert("RGB").tobytes()


def test_a_photo_that_is_gone_cannot_be_mirrored(studio: Studio, tmp_path: Path) -> None:
    gone = Staged(str(tmp_path / "gone.png"), "gone.png", str(tmp_path / "gone.png"))
    with pytest.raises(PhotoError, match=r"gone\.png"):
        mirrored(studio.staging, gone)


def test_a_photo_whose_thumbnail_has_made_way_for_newer_ones_is_still_mirrored(
    studio: Studio, tmp_path: Path
) -> None:
    (one,) = stage(studio.staging, [boot(tmp_path / "boot.png")])
    one = replace(one, crop=(15, 10, 65, 60), masked=True)
    Path(one.thumbnail).unlink()
    made = mirrored(studio.staging, one)
    assert not made.masked  # of the mask that was seen in it nothing is left
    with Image.open(made.thumbnail) as shown, Image.open(made.source) as whole:
        assert made.crop is not None
        expected = whole.convert("RGB").crop(made.crop).resize(shown.size)
        assert np.abs(np.asarray(shown, int) - np.asarray(expected, int)).max() <= 1


@pytest.mark.parametrize("content", [None, b"", b"\x89PNG\r\n\x1a\n and no more"])
def test_a_mask_that_is_gone_or_damaged_is_named_when_its_photo_is_mirrored(
    studio: Studio, tmp_path: Path, content: bytes | None
) -> None:
    (one,) = stage(studio.staging, [boot(tmp_path / "boot.png")])
    mask = tmp_path / "painted.png"
    if content is not None:
        mask.write_bytes(content)
    with pytest.raises(PhotoError, match=r"mask of .*my boot\.png.* cannot be read"):
        mirrored(studio.staging, replace(one, name="my boot.png", mask=str(mask)))


@pytest.mark.parametrize("refused", ["open", "mkdir"])
@pytest.mark.parametrize("act", ["stage", "mirrored", "staging_file"])
def test_a_folder_that_may_not_be_written_to_is_told_in_words(
    studio: Studio, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, act: str, refused: str
) -> None:
    path = boot(tmp_path / "boot.png")
    shown = Staged(str(path), path.name, str(path))
    acts = {
        "stage": lambda: stage(studio.staging, [path]),
        "mirrored": lambda: mirrored(studio.staging, shown),
        "staging_file": lambda: staging_file(studio.staging, Image.new("L", (8, 8)), "painted"),
    }
    real = os.open

    def refuse(*_: Any, **__: Any) -> Any:
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    def open_(file: Any, flags: int, *arguments: Any, **options: Any) -> int:
        if flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT):
            refuse()
        return real(file, flags, *arguments, **options)

    with monkeypatch.context() as patch:
        if refused == "open":
            patch.setattr(os, "open", open_)
        else:
            patch.setattr(Path, "mkdir", refuse)
        with pytest.raises(PerfusionError, match=r"may not be written to|Read-only file system"):
            acts[act]()
    acts[act]()


def test_photos_are_staged_and_mirrored_while_others_push_their_thumbnails_out(
    studio: Studio, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(staging_module, "KEPT", 3)
    paths = [boot(tmp_path / f"{k}.png", 20 + k) for k in range(8)]

    def take(path: Path) -> int:
        for _ in range(6):
            (one,) = stage(studio.staging, [path])
            mirrored(studio.staging, one)
        return 6

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(take, paths)) == 48
    assert len(list((studio.staging.folder / "thumbnails").iterdir())) <= 3
