"""What one run is asked to do."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from perfusion_core.errors import TrainingError
from perfusion_core.training.events import Preview, Score
from perfusion_core.training.photos import Photo
from perfusion_core.training.recipe import Recipe

if TYPE_CHECKING:
    from perfusion_core.model.base import Base


@dataclass(frozen=True)
class TrainingTask:
    """What one run is asked to do; `train` says what each of these is."""

    photos: Sequence[Photo]
    masks: Sequence[Any]
    name: str
    superclass: str
    recipe: Recipe
    run_dir: Path
    score: Score | None = None
    preview: Preview | None = None
    resume: bool = False
    should_stop: Callable[[], bool] = lambda: False

    def require_sound(self, base: Base) -> None:
        """Raise TrainingError for what can be seen to fail before anything is computed."""
        if not self.photos:
            raise TrainingError("There are no photos to learn from. Add one to eight photos of the subject.")
        if len(self.photos) != len(self.masks):
            raise TrainingError(
                f"There are {len(self.photos)} photos and {len(self.masks)} masks. Give one mask for "
                "each photo."
            )
        factor = base.description.size_step
        if self.recipe.resolution % factor:
            fitting = max(64, self.recipe.resolution // factor * factor)
            raise TrainingError(
                f"resolution is {self.recipe.resolution}; choose a multiple of {factor}, such as {fitting}."
            )
