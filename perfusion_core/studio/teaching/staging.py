"""Photos before training: checked, cropped, and previewed with the masks that training would use."""

from __future__ import annotations

import io
import uuid
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from perfusion_core.files import make_folder, prune, write_atomic

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from PIL import Image

    from perfusion_core.studio.bases import Bases
    from perfusion_core.studio.teaching.run_folder import RunFolder
    from perfusion_core.training.photos import Box, Photo

SIDE = 320  # pixels of a thumbnail
TINT = (200, 69, 43)
KEPT = 200  # files of a kind that can be made again
PAINTED_FOR = 30 * 24 * 3600.0  # seconds that what a person painted or mirrored is kept


@dataclass(frozen=True)
class Staged:
    """One photo: where the original is, what it was called, and its thumbnail; `masked` says what that shows.

    crop: the square a person chose, None where it is to be found; mask: the file of a mask painted over that
    square, empty where it is to be found; away: the subject faces the other way than in most of the photos.
    """

    source: str
    name: str
    thumbnail: str
    warnings: tuple[str, ...] = ()
    masked: bool = False
    crop: Box | None = None
    mask: str = ""
    away: bool = False


@dataclass(frozen=True)
class NotYet:
    """There is no segmenter in memory, because the worker is at the job called `title`."""

    title: str


@dataclass(frozen=True)
class Staging:
    """What staging needs. `load` has base and segmenter loaded, and returns the title of a job in its way."""

    folder: Path
    bases: Bases
    load: Callable[[], str]

    @contextmanager
    def segmenter(self) -> Generator[Any]:
        """The segmenter of the base in use, `Missing`, or `NotYet`. Raises `PerfusionError` as `load` does.

        The base is loaded by the worker, never here, and is not released while this is held.
        """
        title = self.load()
        with self.bases.borrow() as loaded:
            found = loaded.loaded_segmenter if loaded is not None else None
            yield NotYet(title) if found is None else found


@dataclass(frozen=True)
class Look:
    """What to look for in photos: a word for the subject (empty: not known yet), or with "none" nothing."""

    word: str
    mask: str = "auto"

    @classmethod
    def of(cls, kind: str | None, mask: str) -> Look:
        """From what stands in a form."""
        return cls((kind or "").strip(), mask)


def stage(staging: Staging, sources: Sequence[Path]) -> list[Staged]:
    """Check photos and make upright square thumbnails. Raises `PhotoError` naming the refused photo."""
    from perfusion_core.training.photos import load_photos

    photos = load_photos([str(path) for path in sources])
    by_sha: dict[str, Path] = {}
    for path in sources:
        by_sha.setdefault(load_photos(str(path))[0].sha, path)
    return [
        Staged(
            str(by_sha[photo.sha]), photo.original_name, str(thumbnail(staging, photo.image)), photo.warnings
        )
        for photo in photos
    ]


def staged_again(staging: Staging, run: RunFolder) -> list[Staged]:
    """The photos of an earlier teaching with the squares and masks they were given by hand; none when it was
    not taught here. Raises `PerfusionError`.
    """
    if not (run.run / "teach.json").is_file():
        return []
    found: list[Staged] = []
    for facts in run.teaching().photos:
        photo, mask = run.run / "photos" / f"{facts.id}.png", run.run / "masks" / f"{facts.id}.png"
        (one,) = stage(staging, [photo])
        painted = str(mask) if facts.painted else ""
        found.append(replace(one, name=facts.original_name, crop=facts.crop, mask=painted))
    return found


def with_masks(staging: Staging, staged: Sequence[Staged], look: Look) -> tuple[list[Staged], str]:
    """The photos cropped as for training, the background dimmed; a remark where no subject was found.

    Needs the base model where there is a word to look for; without a segmenter whole photos are shown and the
    remark says so.
    """
    from perfusion_core.studio.teaching.facing import facing_away

    shown: list[Staged] = []
    remarks: list[str] = []
    masks: list[NDArray[Any]] = []
    for one in staged:
        photo, mask, remark = look_for(staging, one, look)
        masks.append(mask)
        masked = bool(mask.min() < 1.0)
        image = overlay(photo.image, mask) if masked else photo.image
        shown.append(replace(one, thumbnail=str(thumbnail(staging, image)), masked=masked))
        remarks += [remark] if remark else []
    away = facing_away(masks)
    shown = [replace(one, away=place in away) for place, one in enumerate(shown)]
    return shown, " ".join(dict.fromkeys(remarks))


def mirrored(staging: Staging, one: Staged) -> Staged:
    """The photo turned left to right, with the square and the mask that it was given by hand.

    A copy takes the place of the file, which stays as it is. A thumbnail that made way for newer ones is made
    again, without its mask. Raises `PerfusionError`.
    """
    import numpy as np
    from PIL import Image, ImageOps

    from perfusion_core.training.masks import mask_values
    from perfusion_core.training.photos import cropped, load_photos

    photo = replace(load_photos(one.source)[0], original_name=one.name)
    full = photo.full
    crop: Box | None = None
    if one.crop is not None:
        photo = cropped(photo, one.crop)
        left, top, right, bottom = one.crop
        crop = (full.width - right, top, full.width - left, bottom)
    mask = one.mask
    if mask:
        painted = np.round(mask_values(mask, photo) * 255).astype(np.uint8)
        mask = str(staging_file(staging, ImageOps.mirror(Image.fromarray(painted)), "painted"))
    source = staging_file(staging, ImageOps.mirror(full), "mirrored")
    masked = one.masked
    try:
        with Image.open(one.thumbnail, formats=["PNG"]) as opened:
            small = ImageOps.mirror(opened)
    except OSError:
        small, masked = ImageOps.mirror(photo.image), False
    shown = thumbnail(staging, small)
    return replace(
        one, source=str(source), thumbnail=str(shown), masked=masked, crop=crop, mask=mask, away=False
    )


def look_for(staging: Staging, one: Staged, look: Look) -> tuple[Photo, NDArray[Any], str]:
    """A photo in its square, its mask, and a remark when the subject was not found. Shape: mask (H, W)."""
    from perfusion_core.studio.bases import Missing
    from perfusion_core.studio.teaching.crops import centred_unless
    from perfusion_core.training.masks import subject_masks
    from perfusion_core.training.photos import cropped, load_photos

    photo = load_photos(one.source)[0]
    if one.crop is not None:
        photo = cropped(photo, one.crop)
    searched = bool(look.word) and look.mask == "auto"
    remarks: list[str] = []
    with staging.segmenter() if searched else nullcontext() as segmenter:
        if isinstance(segmenter, Missing):
            remarks.append(f"The whole photos are learned from, background included. {segmenter.reason}")
            segmenter = None
        elif isinstance(segmenter, NotYet):
            remarks.append(
                f"The model is at work (“{segmenter.title}”), so the photos are shown whole. The subject is "
                "looked for when the teaching begins."
            )
            segmenter = None
        (photo,) = centred_unless([one.crop is not None], [photo], look.word, segmenter)
        given = [one.mask or None]
        (mask,) = subject_masks([photo], look.word, segmenter, given, warn=remarks.append)
    return photo, mask, " ".join(remarks)


def overlay(image: Image.Image, mask: Any) -> Image.Image:
    """The photo with everything but the subject dimmed and tinted. Shape: mask (H, W) in 0..1."""
    import numpy as np
    from PIL import Image as PILImage

    pixels = np.asarray(image.convert("RGB"), dtype=np.float32)
    weight = np.asarray(mask, dtype=np.float32)[..., None]
    weight = weight / max(float(weight.max()), 1e-6)
    ground = 0.35 * pixels + 0.65 * (0.82 * 255 + 0.18 * np.array(TINT, dtype=np.float32))
    mixed = weight * pixels + (1 - weight) * ground
    return PILImage.fromarray(mixed.clip(0, 255).astype(np.uint8))


def thumbnail(staging: Staging, image: Image.Image) -> Path:
    """A small copy of a square for the page."""
    small = image.convert("RGB").resize((SIDE, SIDE))
    return staging_file(staging, small, "thumbnails")


def staging_file(
    staging: Staging, image: Image.Image, kind: Literal["thumbnails", "masks", "painted", "mirrored"]
) -> Path:
    """`image` in a PNG file of its own. Painted masks and mirrored photos are a person's work and stay for a
    month; files of the other kinds until KEPT newer ones have come. Raises `PerfusionError`.
    """
    folder = staging.folder / kind
    make_folder(folder, "The photo cannot be shown. Free some space or allow writing there.", private=True)
    buffer = io.BytesIO()
    image.save(buffer, format="PNG")
    path = folder / f"{uuid.uuid4().hex[:16]}.png"
    write_atomic(path, buffer.getvalue(), private=True)
    if kind in ("painted", "mirrored"):
        prune(folder, "*.png", older_than=PAINTED_FOR)
    else:
        prune(folder, "*.png", keep=KEPT)
    return path
