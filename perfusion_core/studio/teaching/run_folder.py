"""The files of one run, from which it can be shown, stopped and resumed.

    run/teach.json            what was asked, and every photo's original name
    run/photos/<id>.png       the photos, upright and whole
    run/squares/<id>.png      what is learned from
    run/masks/<id>.png        where the subject is in each square
    run/recipe.json           the settings, once the base model is known
    run/previews/             validation images: step-0010-3.png is prompt 3 after 10 steps
    run/checkpoint.pt, ...    the trainer's own

Training reads squares and masks from here, on the first start as after a crash, so that both see the same
bits.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from PIL import Image
from pydantic import BaseModel, ConfigDict, ValidationError

from perfusion_core.errors import LibraryError
from perfusion_core.files import make_folder, write_atomic

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from perfusion_core.training.photos import Photo
    from perfusion_core.training.recipe import Recipe

    Mask = NDArray[np.float32]

FORMAT_VERSION = 1
Setting = str | int | float | bool


class PhotoFacts(BaseModel):
    """One photo of a run.

    crop: the square a person chose in the whole image (left, top, right, bottom), None where it is to be
    found; painted: its mask was made by hand.
    """

    model_config = ConfigDict(strict=True, frozen=True, extra="forbid")

    sha: str
    original_name: str
    crop: tuple[int, int, int, int] | None = None
    painted: bool = False

    @property
    def id(self) -> str:
        return self.sha[:16]


class Teaching(BaseModel):
    """What was asked for."""

    model_config = ConfigDict(strict=True, frozen=True, extra="forbid")

    format_version: Literal[1] = FORMAT_VERSION
    name: str
    superclass: str
    base: str
    mask: Literal["auto", "none", "given"] = "auto"  # "given": as "auto", from before photos said `painted`
    pace: Literal["balanced", "quick"] = "balanced"
    settings: dict[str, Setting] = {}
    overwrite: bool = False
    photos: list[PhotoFacts]
    warnings: list[str] = []


class RunFolder:
    """The run of one concept's folder in the library."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.run = folder / "run"

    def write_teaching(self, teaching: Teaching) -> None:
        _private(self.run)
        write_atomic(self.run / "teach.json", teaching.model_dump_json(indent=1).encode(), private=True)

    def teaching(self) -> Teaching:
        """Raises `LibraryError` when it cannot be read."""
        try:
            return Teaching.model_validate_json((self.run / "teach.json").read_bytes())
        except (OSError, ValidationError) as error:
            raise LibraryError(
                f"The teaching in {self.run} cannot be continued: its description is missing or damaged. "
                "Start it again from the photos."
            ) from error

    def write_photos(self, photos: Sequence[Photo]) -> None:
        for photo in photos:
            self._write_image("photos", photo.id, photo.full)

    def write_square(self, photo_id: str, square: Image.Image, mask: Mask) -> None:
        self._write_image("masks", photo_id, Image.fromarray(np.round(mask * 255).astype(np.uint8)))
        self._write_image("squares", photo_id, square)  # last: a square is there only with its mask

    def has_square(self, photo_id: str) -> bool:
        return (self.run / "squares" / f"{photo_id}.png").is_file()

    def photo(self, facts: PhotoFacts) -> Photo:
        """The whole photo as it was first read, with the square that was chosen, else the middle."""
        from perfusion_core.training.photos import Photo, square_box

        full = self._read_image("photos", facts.id, "RGB")
        box = facts.crop or square_box(full.size)
        return Photo(full.crop(box), facts.original_name, facts.sha, (), full, box)

    def square(self, facts: PhotoFacts) -> tuple[Photo, Mask]:
        """What is learned from: a square photo and its mask, exactly as they are on disk."""
        from perfusion_core.training.photos import Photo

        image = self._read_image("squares", facts.id, "RGB")
        mask = np.asarray(self._read_image("masks", facts.id, "L"), dtype=np.float32) / 255.0
        return Photo(image, facts.original_name, facts.sha, (), image, (0, 0, *image.size)), mask

    def squares(self) -> tuple[list[Image.Image], list[Mask]]:
        """All squares and their masks, for scoring. Empty when this concept was not taught here."""
        if not (self.run / "teach.json").is_file():
            return [], []
        pairs = [self.square(facts) for facts in self.teaching().photos if self.has_square(facts.id)]
        return [photo.image for photo, _ in pairs], [mask for _, mask in pairs]

    def write_recipe(self, recipe: Recipe) -> None:
        import json

        write_atomic(self.run / "recipe.json", json.dumps(recipe.to_dict(), indent=1).encode(), private=True)

    def recipe(self) -> Recipe | None:
        """The settings this run was started with; None before it was."""
        import json

        from perfusion_core.training.recipe import Recipe

        try:
            settings: Any = json.loads((self.run / "recipe.json").read_bytes())
        except FileNotFoundError:
            return None
        except (OSError, ValueError) as error:
            raise LibraryError(
                f"The settings in {self.run} cannot be read. Start the teaching again."
            ) from error
        return Recipe.from_dict(settings)

    def write_preview(self, step: int, number: int, image: Image.Image) -> Path:
        return self._write_image("previews", f"step-{step:04d}-{number}", image)

    def _write_image(self, kind: str, name: str, image: Image.Image) -> Path:
        path = self.run / kind / f"{name}.png"
        _private(path.parent)
        buffer = io.BytesIO()
        image.save(buffer, format="PNG")
        write_atomic(path, buffer.getvalue(), private=True)
        return path

    def _read_image(self, kind: str, name: str, mode: str) -> Image.Image:
        path = self.run / kind / f"{name}.png"
        try:
            with Image.open(path, formats=["PNG"]) as image:
                return image.convert(mode)
        except (OSError, SyntaxError) as error:
            raise LibraryError(
                f"{path} is missing or damaged, so the teaching cannot go on. Start it again from the photos."
            ) from error


def _private(folder: Path) -> None:
    make_folder(folder, "Nothing was lost; allow writing there and resume.", private=True)
