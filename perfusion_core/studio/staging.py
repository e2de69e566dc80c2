"""Photos on their way to a teaching: checked, cropped, and shown with what will be learned from."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from perfusion_core.errors import PerfusionError

if TYPE_CHECKING:
    from PIL import Image

    from perfusion_core.studio.app import Studio
    from perfusion_core.training.photos import Photo

SIDE = 320  # pixels of a thumbnail
TINT = (200, 69, 43)
KEPT = 200


@dataclass(frozen=True)
class Staged:
    """One photo: where the original is, what it was called, and its thumbnail. `masked` says what that
    shows.
    """

    source: str
    name: str
    thumbnail: str
    warnings: tuple[str, ...] = ()
    masked: bool = False


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
        Staged(str(by_sha[photo.sha]), photo.original_name, str(_save(studio, photo.image)), photo.warnings)
        for photo in photos
    ]


def with_masks(studio: Studio, staged: Sequence[Staged], superclass: str) -> tuple[list[Staged], str]:
    """The same photos, cropped around the subject and with what is not it paled; and a note when it was not
    found.

    Needs the base model; without a segmenter the photos stay as they are and the note says so.
    """
    from perfusion_core.studio.bases import Missing
    from perfusion_core.training.masks import centred_on_subject, subject_masks
    from perfusion_core.training.photos import load_photos

    segmenter = studio.bases.get(studio.settings.base).segmenter
    if isinstance(segmenter, Missing):
        return list(staged), f"The whole photos are learned from, background included. {segmenter.reason}"
    notes: list[str] = []
    photos: list[Photo] = [load_photos(one.source)[0] for one in staged]
    photos = centred_on_subject(photos, superclass, segmenter)
    masks = subject_masks(photos, superclass, segmenter, warn=notes.append)
    shown = [
        replace(one, thumbnail=str(_save(studio, overlay(photo.image, mask))), masked=True)
        for one, photo, mask in zip(staged, photos, masks, strict=True)
    ]
    return shown, " ".join(notes)


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


def _save(studio: Studio, image: Image.Image) -> Path:
    folder = studio.settings.cache_folder / "staging"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        small = image.convert("RGB").resize((SIDE, SIDE))
        path = folder / f"{uuid.uuid4().hex[:16]}.png"
        small.save(path)
    except OSError as error:
        raise PerfusionError(
            f"The photo cannot be shown: {folder} cannot be written ({error.strerror})."
        ) from None
    for old in sorted(folder.glob("*.png"), key=lambda found: found.stat().st_mtime)[:-KEPT]:
        old.unlink(missing_ok=True)
    return path
