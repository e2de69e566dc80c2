"""Where the subject is in each photo: soft masks that weight the loss."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from PIL import Image

from perfusion_core.errors import PhotoError
from perfusion_core.files import open_regular
from perfusion_core.training.decode import FORMATS, MAX_PIXELS
from perfusion_core.training.photos import Photo, cropped, shown, square_box

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Mask = NDArray[np.float32]  # (H, W), 0 where the subject is not, 1 where it is

FAINTEST = 0.1  # a mask whose maximum is below this found nothing
Given = Any  # a mask as a path, a PIL image, an (H, W) array, or None for "find it"


class Segmenter(Protocol):
    """What `perfusion_core.model.segment` provides."""

    def soft_masks(self, images: Any, superclass: str) -> Sequence[Any]: ...


def subject_masks(
    photos: Sequence[Photo],
    superclass: str,
    segmenter: Segmenter | None,
    given: Sequence[Given] | None = None,
    warn: Callable[[str], None] = lambda message: None,
) -> list[Mask]:
    """One soft mask a photo, of the size of `photo.image`. Shape: (H, W) float32 in 0..1.

    A given mask wins over the segmenter; without either the whole photo counts. Where a mask is empty the
    whole photo counts too, and `warn` is told. Raises PhotoError for a given mask that cannot be read or
    has another shape.
    """
    given = list(given) if given else [None] * len(photos)
    if len(given) != len(photos):
        raise PhotoError(
            f"There are {len(photos)} photos and {len(given)} masks. Give one mask for each photo."
        )
    unknown = [photo for photo, mask in zip(photos, given, strict=True) if mask is None]
    found: dict[str, Any] = {}
    if segmenter is not None and unknown:
        masks = segmenter.soft_masks([photo.image for photo in unknown], superclass)
        found = {photo.id: mask for photo, mask in zip(unknown, masks, strict=True)}
    return [
        _mask(photo, mask if mask is not None else found.get(photo.id), superclass, warn)
        for photo, mask in zip(photos, given, strict=True)
    ]


def centred_on_subject(photos: Sequence[Photo], superclass: str, segmenter: Segmenter | None) -> list[Photo]:
    """The photos with their square crop moved to where the segmenter sees the subject."""
    oblong = [photo for photo in photos if photo.full.size[0] != photo.full.size[1]]
    if segmenter is None or not oblong:
        return list(photos)
    masks = segmenter.soft_masks([photo.full for photo in oblong], superclass)
    moved = {
        photo.id: cropped(photo, square_box(photo.full.size, _centre(photo, np.asarray(mask))))
        for photo, mask in zip(oblong, masks, strict=True)
    }
    return [moved.get(photo.id, photo) for photo in photos]


def _centre(photo: Photo, mask: NDArray[Any]) -> tuple[float, float] | None:
    """Centre of mass in pixels of `photo.full` as (x, y); None when the mask is empty."""
    strong = np.where(
        mask >= 0.5 * mask.max(initial=0.0), mask, 0.0
    )  # low values all over the image would pull it to the middle
    total = float(strong.sum())
    if not total > 0 or mask.max() < FAINTEST:
        return None
    height, width = mask.shape
    x = float((strong.sum(axis=0) * (np.arange(width) + 0.5)).sum()) / total
    y = float((strong.sum(axis=1) * (np.arange(height) + 0.5)).sum()) / total
    return x / width * photo.full.size[0], y / height * photo.full.size[1]


def _mask(photo: Photo, mask: Given, superclass: str, warn: Callable[[str], None]) -> Mask:
    width, height = photo.image.size
    whole = np.ones((height, width), dtype=np.float32)
    if mask is None:
        return whole
    values = mask_values(mask, photo)
    if values.shape != (height, width):
        if abs(values.shape[1] * height - values.shape[0] * width) > max(height, width):
            raise PhotoError(
                f"The mask of {shown(photo.original_name)} is {values.shape[1]}×{values.shape[0]} pixels "
                f"and the photo {width}×{height}. Draw it over the square photo."
            )
        resized = Image.fromarray(values).resize((width, height), Image.Resampling.BILINEAR)
        values = np.asarray(resized, dtype=np.float32)
    if float(values.max(initial=0.0)) < FAINTEST:
        warn(f"No {superclass} was found in {shown(photo.original_name)}: the whole photo is learned from.")
        return whole
    return np.clip(values, 0.0, 1.0)


def mask_values(mask: Given, photo: Photo) -> Mask:
    """A mask that was given for a photo, of the size it was drawn in. Shape: (H, W) float32 in 0..1.

    Raises PhotoError, naming the photo, for one that cannot be read.
    """
    if isinstance(mask, (str, Path)):
        try:
            with open_regular(mask) as file, Image.open(file, formats=FORMATS) as opened:
                if opened.size[0] * opened.size[1] > MAX_PIXELS:
                    raise ValueError("it is too large")
                mask = opened.convert("L")
        except Exception as error:
            raise PhotoError(
                f"The mask of {shown(photo.original_name)} cannot be read: {error}. Give a grey PNG."
            ) from error
    if isinstance(mask, Image.Image):
        return np.asarray(mask.convert("L"), dtype=np.float32) / 255.0
    values = np.asarray(mask, dtype=np.float32)
    if values.ndim != 2 or not np.isfinite(values).all():
        raise PhotoError(
            f"The mask of {shown(photo.original_name)} is not one number a pixel. "
            "Give a grey picture of its size."
        )
    return values
