"""Photos on their way to a teaching: checked, cropped, and shown with what will be learned from."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from perfusion_core.errors import PerfusionError

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from PIL import Image

    from perfusion_core.studio.app import Studio
    from perfusion_core.studio.teaching.run_folder import RunFolder
    from perfusion_core.training.photos import Box, Photo

SIDE = 320  # pixels of a thumbnail
TINT = (200, 69, 43)
KEPT = 200


@dataclass(frozen=True)
class Staged:
    """One photo: where the original is, what it was called, and its thumbnail; `masked` says what that shows.

    crop: the square a person chose, None where it is to be found; mask: the file of a mask painted over that
    square, empty where it is to be found.
    """

    source: str
    name: str
    thumbnail: str
    warnings: tuple[str, ...] = ()
    masked: bool = False
    crop: Box | None = None
    mask: str = ""


@dataclass(frozen=True)
class Look:
    """What to look for in photos: a word for the subject (empty: not known yet), or with "none" nothing."""

    word: str
    mask: str = "auto"

    @classmethod
    def of(cls, kind: str | None, mask: str) -> Look:
        """From what stands in a form."""
        return cls((kind or "").strip(), mask)


def stage(studio: Studio, sources: Sequence[Path]) -> list[Staged]:
    """Check photos and make upright square thumbnails. Raises `PhotoError` naming the photo that is
    refused.
    """
    from perfusion_core.training.photos import load_photos

    photos = load_photos([str(path) for path in sources])
    by_sha: dict[str, Path] = {}
    for path in sources:
        by_sha.setdefault(load_photos(str(path))[0].sha, path)
    return [
        Staged(
            str(by_sha[photo.sha]), photo.original_name, str(thumbnail(studio, photo.image)), photo.warnings
        )
        for photo in photos
    ]


def staged_again(studio: Studio, run: RunFolder) -> list[Staged]:
    """The photos of an earlier teaching with the squares and masks they were given by hand; none when it was
    not taught here. Raises `PerfusionError`.
    """
    if not (run.run / "teach.json").is_file():
        return []
    found: list[Staged] = []
    for facts in run.teaching().photos:
        photo, mask = run.run / "photos" / f"{facts.id}.png", run.run / "masks" / f"{facts.id}.png"
        (one,) = stage(studio, [photo])
        painted = str(mask) if facts.painted else ""
        found.append(replace(one, name=facts.original_name, crop=facts.crop, mask=painted))
    return found


def with_masks(studio: Studio, staged: Sequence[Staged], look: Look) -> tuple[list[Staged], str]:
    """The same photos in the squares they will be learned from, with what is not learned from paled; and a
    remark where the subject was not found.

    Needs the base model where there is a word to look for; without a segmenter whole photos are shown and the
    remark says so.
    """
    shown: list[Staged] = []
    remarks: list[str] = []
    for one in staged:
        photo, mask, remark = look_for(studio, one, look)
        masked = bool(mask.min() < 1.0)
        picture = overlay(photo.image, mask) if masked else photo.image
        shown.append(replace(one, thumbnail=str(thumbnail(studio, picture)), masked=masked))
        remarks += [remark] if remark else []
    return shown, " ".join(dict.fromkeys(remarks))


def look_for(studio: Studio, one: Staged, look: Look) -> tuple[Photo, NDArray[Any], str]:
    """A photo in its square, its mask, and a remark when the subject was not found. Shape: mask (H, W)."""
    from perfusion_core.studio.bases import Missing
    from perfusion_core.studio.teaching.crops import centred_unless
    from perfusion_core.training.masks import subject_masks
    from perfusion_core.training.photos import cropped, load_photos

    photo = load_photos(one.source)[0]
    if one.crop is not None:
        photo = cropped(photo, one.crop)
    searched = bool(look.word) and look.mask == "auto"
    segmenter = studio.bases.get(studio.settings.base).segmenter if searched else None
    remarks: list[str] = []
    if isinstance(segmenter, Missing):
        remarks.append(f"The whole photos are learned from, background included. {segmenter.reason}")
        segmenter = None
    (photo,) = centred_unless([one.crop is not None], [photo], look.word, segmenter)
    given = [one.mask or None]
    (mask,) = subject_masks([photo], look.word, segmenter, given, warn=remarks.append)
    return photo, mask, " ".join(remarks)


def overlay(image: Image.Image, mask: Any) -> Image.Image:
    """The photo with everything but the subject paled and tinted. Shape: mask (H, W) in 0..1."""
    import numpy as np
    from PIL import Image as Pictures

    pixels = np.asarray(image.convert("RGB"), dtype=np.float32)
    weight = np.asarray(mask, dtype=np.float32)[..., None]
    weight = weight / max(float(weight.max()), 1e-6)
    ground = 0.35 * pixels + 0.65 * (0.82 * 255 + 0.18 * np.array(TINT, dtype=np.float32))
    mixed = weight * pixels + (1 - weight) * ground
    return Pictures.fromarray(mixed.clip(0, 255).astype(np.uint8))


def thumbnail(studio: Studio, image: Image.Image) -> Path:
    """A small copy of a square for the page."""
    small = image.convert("RGB").resize((SIDE, SIDE))
    return staging_file(studio, small, "thumbnails")


def staging_file(studio: Studio, picture: Image.Image, kind: str) -> Path:
    """`picture` in a file of its own that lives until many newer ones of its kind have come."""
    folder = studio.settings.cache_folder / "staging" / kind
    try:
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / f"{uuid.uuid4().hex[:16]}.png"
        picture.save(path)
    except OSError as error:
        raise PerfusionError(
            f"The photo cannot be shown: {folder} cannot be written ({error.strerror})."
        ) from None
    for old in sorted(folder.glob("*.png"), key=lambda found: found.stat().st_mtime)[:-KEPT]:
        old.unlink(missing_ok=True)
    return path
