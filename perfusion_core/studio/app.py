"""The studio as one object: the library, the base models and the job queue, for a user interface."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from perfusion_core.errors import LoraError, PerfusionError
from perfusion_core.model.lora_files import ChosenLora, check_weight
from perfusion_core.studio.bases import Bases
from perfusion_core.studio.creating.live import is_live
from perfusion_core.studio.jobs.handlers import handlers
from perfusion_core.studio.jobs.store import UNFINISHED, Job, JobStore, Json, Kind
from perfusion_core.studio.jobs.worker import Worker, owner_lock
from perfusion_core.studio.known_bases import names_of
from perfusion_core.studio.known_loras import known_loras, loras_json
from perfusion_core.studio.library.library import Library
from perfusion_core.studio.settings import (
    Settings,
    base_name,
    keep_chosen_loras,
    keep_private,
    with_chosen_loras,
)
from perfusion_core.studio.teaching.staging import Staging

if TYPE_CHECKING:
    from perfusion_core.model.base import Base
    from perfusion_core.model.listing import BaseListing
    from perfusion_core.sampling.png import ImageRecipe
    from perfusion_core.sampling.request import GenerationRequest
    from perfusion_core.studio.teaching.run import TeachRequest

LOADING = 600.0  # seconds that loading a base model may take


class Studio:
    """Everything behind a screen. Jobs are asked for here and looked at by id; results are file paths.

    Making one needs no torch. `start` takes the data folder and the device for this process; `close` gives
    them back. Without `start` the library and old jobs can be read, but nothing is worked on.
    """

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.library = Library(settings.home)
        self.bases = Bases(settings)
        self.store = JobStore(settings.jobs_folder)
        self.worker = Worker(self.store, handlers(self.library, self.bases))
        self._lock: Any = None

    def start(self) -> None:
        """Begin to work. Raises `PerfusionError` when another process works in this data folder."""
        if self._lock is None:
            self._lock = owner_lock(self.settings.home)
            keep_private(self.settings)
            self.worker.start()

    def close(self) -> None:
        """Stop working; the running job becomes interrupted and can be resumed after the next start."""
        if self._lock is not None:
            self.worker.close()
            self._lock.release()
            self._lock = None

    # Asking

    def submit_teach(self, request: TeachRequest) -> Job:
        """Queue a teaching. Photos and name are checked, and the photos copied, before this returns."""
        from perfusion_core.studio.teaching.run import begin_teaching

        folder = begin_teaching(self.library, request)
        asked: Json = {
            "name": request.name,
            "superclass": request.superclass,
            "base": request.base,
            "folder": str(folder),
            "photos": len(request.photos),
        }
        try:
            return self.worker.submit("teach", f"Teach <{request.name.strip('<> ')}>", asked)
        except PerfusionError:
            self.library.discard(folder)
            raise

    def submit_generate(
        self, request: GenerationRequest, *, base: str | None = None, out: Path | None = None
    ) -> Job:
        """Queue images. The result has "paths" and "warnings"."""
        return self._submit("generate", request.prompt, request, base, out)

    def submit_front(
        self,
        request: GenerationRequest,
        name: str,
        biases: Sequence[float],
        *,
        base: str | None = None,
        out: Path | None = None,
    ) -> Job:
        """Queue a front of one concept, with a row for each of the request's seeds.

        The result has "paths" (row by row), "biases", "seeds", "points" (means), "shots", "references",
        "knee", "strip", "scorer".
        """
        more: Json = {"name": name, "biases": list(biases)}
        return self._submit("front", f"Front of <{name}>: {request.prompt}", request, base, out, more)

    def submit_grid(
        self,
        request: GenerationRequest,
        names: tuple[str, str],
        biases: tuple[Sequence[float], Sequence[float]],
        *,
        base: str | None = None,
        out: Path | None = None,
    ) -> Job:
        """Queue a grid of two concepts. The result has "paths" (row by row), "names", "biases", "table"."""
        more: Json = {"names": list(names), "biases": [list(biases[0]), list(biases[1])]}
        title = f"<{names[0]}> against <{names[1]}>: {request.prompt}"
        return self._submit("grid", title, request, base, out, more)

    def submit_acting(self, source: Path, *, base: str | None = None) -> Job:
        """Queue the maps of where each concept acted in an image made here. The result has "maps" by name.

        Raises `PerfusionError` when the image has no recipe, or names no concept.
        """
        from perfusion_core.studio.creating.attribution_run import check_source

        recipe = check_source(source)
        given = [lora.file for lora in self.settings.loras]
        loras, missing = known_loras(self.settings, recipe.loras, given)
        if missing:
            raise LoraError(
                f"Where it acted cannot be shown: {'; '.join(missing)}. Put it into "
                f"{self.settings.loras_folder}."
            )
        asked: Json = {
            "source": str(source.absolute()),
            "base": base or self.settings.base,
            "loras": loras_json(loras),
        }
        return self.worker.submit("acting", f"Where it acted: {recipe.prompt}", asked)

    def submit_load(self, *, segmenter: bool = False) -> Job:
        """Queue the loading of the base in use, with its LoRAs, or with its segmenter for teaching, which
        needs none. Leaves no record.
        """
        base = self.settings.base
        loras = () if segmenter else self.settings.loras
        asked: Json = {"base": base, "segmenter": segmenter, "loras": loras_json(loras)}
        return self.worker.submit("load", f"Load {base_name(base)}", asked, recorded=False)

    def load_base(self, *, segmenter: bool = False, timeout: float = LOADING) -> str:
        """Have the base in use loaded by the worker, and wait for that while it has nothing else to do.

        Returns the title of the job that comes first, empty when the base is there. Raises `PerfusionError`
        when it cannot be loaded.
        """
        if self._is_loaded(segmenter):
            return ""
        for other in self.jobs():
            if other.state in UNFINISHED and other.kind != "load" and not is_live(other):
                return other.title
        job = self.wait(self.submit_load(segmenter=segmenter).id, timeout)
        if job.state == "failed":
            raise PerfusionError(job.error or f"{job.title} failed. Choose another base model.")
        return "" if self._is_loaded(segmenter) else job.title

    def stop(self, job_id: str) -> Job:
        """Stop this job and no other; what the worker is doing meanwhile goes on."""
        return self.worker.stop(job_id)

    def resume(self, job_id: str) -> Job:
        return self.worker.resume(job_id)

    def wait(self, job_id: str, timeout: float | None = None) -> Job:
        """Block until a job is over, or `timeout` seconds have passed."""
        return self.worker.wait(job_id, timeout)

    # Looking

    def jobs(self) -> list[Job]:
        """All jobs, oldest first."""
        return self.store.all()

    def job(self, job_id: str) -> Job:
        return self.store.get(job_id)

    def events(self, job_id: str, *, kind: str | None = None) -> list[Json]:
        """What happened in a job so far: "stage", "step", "score", "preview", "progress", "warning", ..."""
        return self.store.events(job_id, kind=kind)

    def position(self, job_id: str) -> int:
        """How many jobs come before this one."""
        return self.worker.position(job_id)

    @property
    def staging(self) -> Staging:
        """What photos are checked and previewed with before training."""
        return Staging(
            self.settings.cache_folder / "staging", self.bases, lambda: self.load_base(segmenter=True)
        )

    @property
    def base(self) -> Base | None:
        """The base model in memory, if one is."""
        return self.bases.current

    def available_bases(self) -> list[BaseListing]:
        return self.bases.available()

    def use_base(self, reference: str) -> None:
        """Make `reference` the base of the jobs asked for from now on."""
        self.change(base=reference)

    def use_loras(self, loras: Sequence[ChosenLora]) -> None:
        """Put these on the base in use, for the images asked for from now on, and keep that for this base.

        Raises `PerfusionError` for a weight that cannot be, or when it cannot be kept: then it is in use.
        """
        for lora in loras:
            check_weight(lora.weight, lora.file.name)
        self.change(loras=tuple(loras))
        keep_chosen_loras(self.settings)

    def use_loras_of(self, recipe: ImageRecipe) -> bool:
        """Use the LoRAs of an image where all of them are here and it was made on the base in use.

        Returns whether others are in use now. Raises `PerfusionError` as `use_loras` does.
        """
        found, missing = known_loras(self.settings, recipe.loras)
        if self.base is None:
            same = recipe.base in names_of(self.settings.base)
        else:
            same = recipe.base_fingerprint == self.base.fingerprint
        if not found or missing or not same or tuple(found) == self.settings.loras:
            return False
        self.use_loras(found)
        return True

    def change(self, **settings: Any) -> None:
        """Change some of the settings, for what is asked for from now on."""
        self.settings = replace(self.settings, **settings)
        if settings.keys() & {"base", "models_dir"}:
            self.settings = with_chosen_loras(self.settings)
        self.bases.settings = self.settings

    def _is_loaded(self, segmenter: bool) -> bool:
        with self.bases.borrow() as loaded:
            return loaded is not None and (not segmenter or loaded.loaded_segmenter is not None)

    def _loras_on(self, base: str | None) -> Sequence[ChosenLora]:
        if base in (None, self.settings.base):
            return self.settings.loras
        return with_chosen_loras(replace(self.settings, base=base or "")).loras

    def _submit(
        self,
        kind: Kind,
        title: str,
        request: GenerationRequest,
        base: str | None,
        out: Path | None,
        more: Json | None = None,
    ) -> Job:
        asked: Json = {
            "request": asdict(request.checked()),
            "base": base or self.settings.base,
            "loras": loras_json(self._loras_on(base)),
            "out": str((out or self.settings.outputs).absolute()),
            **(more or {}),
        }
        return self.worker.submit(kind, title, asked)
