"""One image at once for a slider that is being dragged: a job without a record."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from perfusion_core.errors import PerfusionError
from perfusion_core.files import prune
from perfusion_core.studio.jobs.store import UNFINISHED
from perfusion_core.studio.known_loras import loras_json

if TYPE_CHECKING:
    from perfusion_core.model.lora_files import ChosenLora
    from perfusion_core.sampling.request import GenerationRequest
    from perfusion_core.studio.jobs.store import Job
    from perfusion_core.studio.jobs.worker import Worker

FOLDER = "live-pictures"
KEPT = 24  # images; the rest of the folder is cleared


@dataclass(frozen=True)
class Busy:
    """The worker is at another job, called `title`."""

    title: str


def is_live(job: Job) -> bool:
    """Whether a job is one of these, which no list shows."""
    return Path(str(job.request.get("out", ""))).name == FOLDER


def render_live(
    worker: Worker,
    request: GenerationRequest,
    base: str,
    cache: Path,
    timeout: float = 60.0,
    *,
    loras: Sequence[ChosenLora] = (),
) -> Path | Busy:
    """The image of `request` on `base` with `loras`, as a file in a folder of `cache`; `Busy` when it would
    have to wait or takes longer than `timeout` seconds. Raises `PerfusionError`.
    """
    for other in worker.store.all():
        if other.state in UNFINISHED and not is_live(other):
            return Busy(other.title)
    folder = cache / FOLDER
    asked = {
        "request": asdict(request.checked()),
        "base": base,
        "loras": loras_json(loras),
        "out": str(folder.absolute()),
    }
    job = worker.submit("generate", request.prompt, asked, recorded=False)
    job = worker.wait(job.id, timeout)
    if job.state in UNFINISHED:
        worker.stop(job.id)
        return Busy(job.title)
    if job.state != "done" or not job.result.get("paths"):
        raise PerfusionError(
            job.error or "The picture was stopped before it was finished. Move the slider again."
        )
    prune(folder, "*.png", keep=KEPT)
    return Path(job.result["paths"][0])
