"""The square crops and masks that training uses: chosen by hand, or found by the segmenter."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from perfusion_core.errors import PhotoError
from perfusion_core.studio.bases import LoadedBase, Missing

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from perfusion_core.studio.teaching.run_folder import RunFolder, Teaching
    from perfusion_core.training.photos import Box, Photo

Given = Sequence[Any] | Mapping[str, Any]


def with_crops(photos: Sequence[Photo], crops: Sequence[Box | None] | None) -> list[Photo]:
    """The photos with the squares a person chose; those without one keep theirs. Raises `PhotoError`."""
    from perfusion_core.training.photos import cropped

    if crops is None:
        return list(photos)
    _one_each(len(photos), len(crops), "crop")
    return [photo if box is None else cropped(photo, box) for photo, box in zip(photos, crops, strict=True)]


def given_masks(photos: Sequence[Photo], superclass: str, masks: Given | None) -> list[NDArray[Any] | None]:
    """The masks a person drew over the photos' squares, read and checked; None where there is none.

    A mapping names photos by the stem of their file. Raises `PhotoError`.
    """
    from perfusion_core.training.masks import subject_masks

    if masks is None:
        return [None] * len(photos)
    if isinstance(masks, Mapping):
        masks = [masks.get(Path(photo.original_name).stem) for photo in photos]
    _one_each(len(photos), len(masks), "mask")
    return [
        None if given is None else subject_masks([photo], superclass, None, [given])[0]
        for photo, given in zip(photos, masks, strict=True)
    ]


def make_squares(
    run: RunFolder, teaching: Teaching, loaded: LoadedBase, warnings: list[str], say: Callable[[str], None]
) -> None:
    """Crop around the subject and segment it in every photo that has no square yet, and write both."""
    from perfusion_core.training.masks import subject_masks

    left = [facts for facts in teaching.photos if not run.has_square(facts.id)]
    if not left:
        return
    say("Finding the subject")
    segmenter = loaded.segmenter if teaching.mask != "none" else None
    if isinstance(segmenter, Missing):
        warnings.append(f"The whole photos are learned from, background included. {segmenter.reason}")
        segmenter = None
    chosen = [facts.crop is not None for facts in left]
    photos = centred_unless(chosen, [run.photo(facts) for facts in left], teaching.superclass, segmenter)
    masks = subject_masks(photos, teaching.superclass, segmenter, warn=warnings.append)
    for photo, mask in zip(photos, masks, strict=True):
        run.write_square(photo.id, photo.image, mask)


def centred_unless(
    chosen: Sequence[bool], photos: Sequence[Photo], superclass: str, segmenter: Any
) -> list[Photo]:
    """The photos cropped around the subject, but for those whose square was chosen."""
    from perfusion_core.training.masks import centred_on_subject

    return [
        photo if kept else centred_on_subject([photo], superclass, segmenter)[0]
        for kept, photo in zip(chosen, photos, strict=True)
    ]


def _one_each(photos: int, given: int, what: str) -> None:
    if photos != given:
        raise PhotoError(
            f"There are {photos} different photos and {given} {what}s. Give one {what} for each photo."
        )
