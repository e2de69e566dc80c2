"""Subject masks: the user's wins, an empty one is not believed, crops follow the subject."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from perfusion_core.errors import PhotoError
from perfusion_core.training.masks import centred_on_subject, subject_masks
from perfusion_core.training.photos import Photo, load_photos


class Seer:
    """A segmenter that finds whatever is bright red."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    def soft_masks(self, images: Sequence[Image.Image], superclass: str) -> list[Any]:
        self.asked.append(superclass)
        arrays = [np.asarray(image, dtype=np.float32) for image in images]
        return [((a[..., 0] > 200) & (a[..., 1] < 60)).astype(np.float32) * 0.8 for a in arrays]


def photo_with_square(left: int, size: tuple[int, int] = (300, 100), colour: str = "red") -> Photo:
    image = Image.new("RGB", size, "white")
    image.paste(colour, (left, 30, left + 40, 70))
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    return load_photos([(f"at{left}.png", buffer.getvalue())])[0]


def test_masks_come_from_the_segmenter_asked_for_the_superclass() -> None:
    seer = Seer()
    photo = photo_with_square(130)
    (mask,) = subject_masks([photo], "ball", seer)
    assert seer.asked == ["ball"]
    assert mask.shape == (100, 100)
    assert mask.dtype == np.float32
    assert mask[50, 50] == pytest.approx(0.8)
    assert mask[5, 5] == 0


def test_without_a_segmenter_the_whole_photo_counts() -> None:
    (mask,) = subject_masks([photo_with_square(130)], "ball", None)
    assert (mask == 1).all()


def test_a_given_mask_wins_over_the_segmenter(tmp_path: Path) -> None:
    drawn = np.zeros((100, 100), dtype=np.float32)
    drawn[:50] = 1
    path = tmp_path / "mask.png"
    Image.fromarray((drawn * 255).astype(np.uint8)).save(path)
    photos = [photo_with_square(130), photo_with_square(120), photo_with_square(110)]
    seer = Seer()
    masks = subject_masks(photos, "ball", seer, [drawn, path, None])
    assert np.array_equal(masks[0], drawn)
    assert np.array_equal(masks[1], drawn)
    assert masks[2].max() == pytest.approx(0.8)
    assert len(seer.asked) == 1


def test_an_empty_mask_counts_the_whole_photo_and_warns() -> None:
    said: list[str] = []
    (mask,) = subject_masks([photo_with_square(130, colour="blue")], "ball", Seer(), warn=said.append)
    assert (mask == 1).all()
    assert "No ball was found in “at130.png”" in said[0]


def test_a_mask_of_another_size_is_scaled_and_of_another_shape_refused() -> None:
    photo = photo_with_square(130)
    small = np.ones((50, 50), dtype=np.float32)
    assert subject_masks([photo], "ball", None, [small])[0].shape == (100, 100)
    with pytest.raises(PhotoError, match="30×60"):
        subject_masks([photo], "ball", None, [np.ones((60, 30))])


@pytest.mark.parametrize("wrong", [np.ones((100, 100, 3)), np.full((100, 100), np.nan), "/nowhere/mask.png"])
def test_masks_that_cannot_be_used_name_their_photo(wrong: Any) -> None:
    with pytest.raises(PhotoError, match="at130"):
        subject_masks([photo_with_square(130)], "ball", None, [wrong])


def test_masks_and_photos_must_pair() -> None:
    with pytest.raises(PhotoError, match="1 photos and 2 masks"):
        subject_masks([photo_with_square(130)], "ball", None, [None, None])


def test_the_crop_moves_to_the_subject() -> None:
    photo = photo_with_square(20)
    assert photo.crop == (100, 0, 200, 100)
    (moved,) = centred_on_subject([photo], "ball", Seer())
    assert moved.crop == (0, 0, 100, 100)
    assert moved.image.getpixel((40, 50)) == (255, 0, 0)
    (moved,) = centred_on_subject([photo_with_square(170)], "ball", Seer())
    assert moved.crop == (140, 0, 240, 100)


def test_without_a_subject_the_crop_stays_in_the_middle() -> None:
    photo = photo_with_square(20, colour="blue")
    assert centred_on_subject([photo], "ball", Seer())[0].crop == photo.crop
    assert centred_on_subject([photo], "ball", None)[0].crop == photo.crop
