"""Several teachings whose concepts share each batch: from photos to entries of their libraries."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from perfusion_core.studio.teaching.run import Listener, Taught, teach_in_steps

if TYPE_CHECKING:
    from perfusion_core.studio.bases import LoadedBase
    from perfusion_core.studio.library.library import Library


@dataclass(frozen=True)
class Prepared:
    """A folder that `begin_teaching` filled, with the library it lies in and its own callbacks, which are
    those of `teach`.
    """

    library: Library
    folder: Path
    listen: Listener = lambda event, previews: None
    should_stop: Callable[[], bool] = lambda: False
    say: Callable[[str], None] = lambda message: None


def teach_together(
    loaded: LoadedBase, teachings: Iterable[Prepared], together: int
) -> Generator[tuple[int, Taught | Exception], None, None]:
    """`teach` for each of `teachings`, at most `together` of them at a time in one batch.

    Yields each one's number (from 0, in the order given) and what came of it, as soon as it ends; the next is
    taken from `teachings` in its place. Every concept is the one that `teach` gives, apart from the rounding
    of a larger batch (`training/together.py`). A teaching that fails, by its callbacks too, ends alone: its
    exception is what came of it, and it can be resumed. Raises `TrainingError` when `together` is below 1.
    """
    from perfusion_core.training.together import contained, interleaved

    courses = (
        contained(
            teach_in_steps(
                teaching.library,
                loaded,
                teaching.folder,
                listen=teaching.listen,
                should_stop=teaching.should_stop,
                say=teaching.say,
            )
        )
        for teaching in teachings
    )
    return interleaved(courses, together)
