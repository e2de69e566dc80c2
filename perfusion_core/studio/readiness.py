"""Loading the base model in the background before the first request, and the state of that."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TYPE_CHECKING

from perfusion_core.errors import PerfusionError
from perfusion_core.studio.jobs.store import UNFINISHED, Job
from perfusion_core.studio.known_loras import loras_asked
from perfusion_core.studio.settings import base_name

if TYPE_CHECKING:
    from perfusion_core.studio.app import Studio


class Readiness:
    """Has the worker load the studio's base; `problem` says why when that failed.

    `say` is told in a line how each loading ended.
    """

    def __init__(self, studio: Studio, say: Callable[[str], None] = lambda _: None) -> None:
        self._studio = studio
        self._say = say
        self._job: Job | None = None
        self._thread: threading.Thread | None = None
        self.problem = ""

    def begin(self) -> None:
        """Queue the loading of the base that the settings name, with its LoRAs. Harmless when it is there or
        on its way; another one that is still waiting to be loaded is skipped.
        """
        if self._job is not None and self._state == "queued" and not self._is_wanted(self._job):
            self._studio.stop(self._job.id)
        if self._job is None or self._state not in UNFINISHED or not self._is_wanted(self._job):
            self.problem = ""
            self._job = self._studio.submit_load()
            thread = threading.Thread(
                target=self._announce, args=(self._job,), name="perfusion-base", daemon=True
            )
            thread.start()
            self._thread = thread

    @property
    def words(self) -> str:
        """The base's state in a word or two."""
        if self.problem:
            return "Not usable"
        dressing = self._job is not None and self._state in UNFINISHED and bool(self._job.request["loras"])
        if self._studio.bases.holds(self._studio.settings.base) and not dressing:
            return "Ready"
        if self._state == "queued":
            return "Loads after the job before it" if self._studio.position(self._id) else "Loading"
        return "Loading" if self._state in UNFINISHED else "Loads with the first picture"

    @property
    def name(self) -> str:
        """The base's name as people know it."""
        return base_name(self._studio.settings.base)

    @property
    def _id(self) -> str:
        return self._job.id if self._job is not None else ""

    @property
    def _state(self) -> str:
        try:
            return self._studio.job(self._id).state
        except PerfusionError:  # long over
            return "done"

    def _is_wanted(self, job: Job) -> bool:
        settings = self._studio.settings
        return job.request["base"] == settings.base and loras_asked(job.request) == list(settings.loras)

    def _announce(self, job: Job) -> None:
        ended = self._studio.wait(job.id)
        if self._is_wanted(job) and ended.state in ("failed", "done"):
            self.problem = ended.error or ""
            self._say(self.problem or f"The base model {self.name} is ready.")
