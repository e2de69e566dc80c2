"""Loading the base model before anyone asks for a picture, and what to say while it is not there."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from perfusion_core.errors import PerfusionError

if TYPE_CHECKING:
    from perfusion_core.studio.app import Studio


class Readiness:
    """Loads the studio's base in a thread of its own; `problem` says why when that failed.

    `say` is told in a line how each loading ended.
    """

    def __init__(self, studio: Studio, say: Callable[[str], None] = lambda _: None) -> None:
        self._studio = studio
        self._say = say
        self._thread: threading.Thread | None = None
        self.problem = ""

    def begin(self) -> None:
        """Start loading the base that the settings name. Harmless when it is there or on its way;
        after another one that is on its way, this one comes.
        """
        self.problem = ""
        if self._thread is None or not self._thread.is_alive():
            self._thread = threading.Thread(target=self._load, name="perfusion-base", daemon=True)
            self._thread.start()

    @property
    def words(self) -> str:
        """The base's state in a word or two."""
        if self.problem:
            return "Not usable"
        if self._thread is not None and self._thread.is_alive():
            return "Loading"
        here = self._studio.bases.holds(self._studio.settings.base)
        return "Ready" if here else "Loads with the first picture"

    @property
    def name(self) -> str:
        """The base's name as people know it."""
        reference = self._studio.settings.base
        return "Pocket" if reference == "pocket" else Path(reference).name

    def _load(self) -> None:
        reference = ""
        while reference != self._studio.settings.base:  # another one may have been chosen meanwhile
            reference, problem = self._studio.settings.base, ""
            try:
                self._studio.bases.get(reference)
            except PerfusionError as error:
                problem = str(error)
            self.problem = problem
            self._say(problem or f"The base model {self.name} is ready.")
