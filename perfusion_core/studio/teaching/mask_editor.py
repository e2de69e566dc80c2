"""Editing one photo before training: its square crop, and its mask.

The mask is painted as a layer of one colour over the square; the layer's opacity is the mask. The layer has a
fixed size, so that strokes have the same width on every photo.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from perfusion_core.errors import PerfusionError
from perfusion_core.studio.teaching.staging import TINT, Look, Staged, Staging, look_for, staging_file

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from PIL import Image

    from perfusion_core.training.photos import Box, Photo

SIDE = 512  # pixels of the layer that is painted on
OPACITY = 0.55  # of a layer where the subject surely is: the photo stays visible under it
CLOSEST = 4.0  # times a square may be enlarged
NOTICED = 0.05  # smaller differences between two masks come from rounding, not from painting


@dataclass(frozen=True)
class Opened:
    """The photo being edited: its place in the list, its crop, and the file of the mask as it was shown.

    moved: the crop was chosen by hand; painted: the mask was.
    """

    place: int
    source: str
    crop: Box
    mask: str
    moved: bool
    painted: bool


@dataclass(frozen=True)
class Frame:
    """A square by how much it is enlarged (1 to CLOSEST) and where it lies (0..1 from left, from top)."""

    zoom: float
    across: float
    down: float

    @classmethod
    def of(cls, box: Box, size: tuple[int, int]) -> Frame:
        left, top, right, _ = box
        side = right - left
        across, down = size[0] - side, size[1] - side
        return cls(min(size) / side, left / across if across else 0.5, top / down if down else 0.5)

    def box(self, size: tuple[int, int]) -> Box:
        """In pixels of an image of `size` (width, height); always a square inside it."""
        side = max(1, round(min(size) / min(max(self.zoom, 1.0), CLOSEST)))
        left = round((size[0] - side) * min(max(self.across, 0.0), 1.0))
        top = round((size[1] - side) * min(max(self.down, 0.0), 1.0))
        return left, top, left + side, top + side


@dataclass(frozen=True)
class Table:
    """What an editor shows of the open photo; `whole` is its width and height in pixels.

    Shapes: square (SIDE, SIDE) RGB, layer (SIDE, SIDE) RGBA.
    """

    opened: Opened
    square: Image.Image
    layer: Image.Image
    frame: Frame
    whole: tuple[int, int]
    remark: str


def open_photo(staging: Staging, one: Staged, place: int, look: Look) -> Table:
    """Open a photo for editing, with the mask that training would use. Raises `PhotoError`."""
    photo, mask, remark = look_for(staging, one, look)
    opened = Opened(place, one.source, photo.crop, "", one.crop is not None, bool(one.mask))
    return _table(staging, photo, mask, opened, remark)


def recut(staging: Staging, opened: Opened, layer: Image.Image | None, frame: Frame, look: Look) -> Table:
    """Another square of the opened photo.

    What was painted stays where it was in the photo; around it the mask is found anew.
    """
    import numpy as np

    from perfusion_core.training.photos import load_photos

    mask, painted = painted_mask(opened, layer)
    box = frame.box(load_photos(opened.source)[0].full.size)
    photo, found, remark = look_for(staging, Staged(opened.source, "", "", crop=box), look)
    if painted:
        canvas = np.zeros(photo.full.size[::-1], dtype=np.float32)
        canvas[_inside(box)] = found
        canvas[_inside(opened.crop)] = _scaled(mask, opened.crop[2] - opened.crop[0])
        found, remark = canvas[_inside(box)], ""
    return _table(staging, photo, found, replace(opened, moved=True, painted=painted), remark)


def painted_mask(opened: Opened, layer: Image.Image | None) -> tuple[NDArray[Any], bool]:
    """The mask of an edited layer, (SIDE, SIDE) in 0..1, and whether it was changed by hand."""
    import numpy as np
    from PIL import Image as PILImage

    try:
        with PILImage.open(opened.mask, formats=["PNG"]) as kept:
            before = np.asarray(kept.convert("L"), dtype=np.float32) / 255
    except OSError as error:  # open for so long that newer files have taken its place
        raise PerfusionError("The photo is no longer open. Close it and open it again.") from error
    if layer is None:  # everything was erased
        return np.zeros_like(before), bool(before.max(initial=0.0) > NOTICED)
    alpha = np.asarray(layer.convert("RGBA").resize((SIDE, SIDE)), dtype=np.float32)[..., 3] / 255
    now = (alpha / OPACITY).clip(0.0, 1.0)
    return now, opened.painted or bool(np.abs(now - before).max() > NOTICED)


def apply(staging: Staging, one: Staged, opened: Opened, layer: Image.Image | None) -> Staged:
    """The staged photo with the edited crop and mask. Raises `PerfusionError` when the mask is empty."""
    mask, painted = painted_mask(opened, layer)
    if not painted:
        return replace(one, crop=opened.crop if opened.moved else None, mask="")
    if float(mask.max(initial=0.0)) < 0.5:
        raise PerfusionError(
            "Nothing is painted in this photo. Paint what is to be learned; Reset brings back the mask that "
            "was found."
        )
    return replace(one, crop=opened.crop, mask=str(_keep(staging, mask, "painted")))


def _table(staging: Staging, photo: Photo, mask: Any, opened: Opened, remark: str) -> Table:
    small = _scaled(mask, SIDE)
    opened = replace(opened, crop=photo.crop, mask=str(_keep(staging, small, "masks")))
    frame = Frame.of(photo.crop, photo.full.size)
    return Table(opened, photo.image.resize((SIDE, SIDE)), _layer(small), frame, photo.full.size, remark)


def _layer(mask: NDArray[Any]) -> Image.Image:
    import numpy as np
    from PIL import Image as PILImage

    pixels = np.zeros((*mask.shape, 4), dtype=np.uint8)
    pixels[..., :3] = TINT
    pixels[..., 3] = np.round(mask * OPACITY * 255)
    return PILImage.fromarray(pixels)


def _inside(box: Box) -> tuple[slice, slice]:
    left, top, right, bottom = box
    return slice(top, bottom), slice(left, right)


def _scaled(mask: Any, side: int) -> NDArray[Any]:
    import numpy as np
    from PIL import Image as PILImage

    image = PILImage.fromarray(np.asarray(mask, dtype=np.float32))
    return np.asarray(image.resize((side, side), PILImage.Resampling.BILINEAR)).clip(0.0, 1.0)


def _keep(staging: Staging, mask: NDArray[Any], kind: Literal["masks", "painted"]) -> Path:
    import numpy as np
    from PIL import Image as PILImage

    image = PILImage.fromarray(np.round(mask * 255).astype(np.uint8))
    return staging_file(staging, image, kind)
