"""What each kind of job does: from a request in JSON to files and a result in JSON."""

from __future__ import annotations

import sys
import time
import traceback
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from perfusion_core.errors import PerfusionError, first_line
from perfusion_core.files import remove_folder
from perfusion_core.studio.creating.live import is_live
from perfusion_core.studio.jobs.store import Json, Kind
from perfusion_core.studio.jobs.worker import Handler, JobContext, JobStopped
from perfusion_core.studio.known_loras import loras_asked

if TYPE_CHECKING:
    from perfusion_core.sampling.request import GenerationRequest
    from perfusion_core.studio.bases import Bases, LoadedBase
    from perfusion_core.studio.library.library import Library
    from perfusion_core.training.events import TrainEvent

SHORTEST_PAUSE = 0.2  # seconds between two progress events of a sampling job


def handlers(library: Library, bases: Bases) -> dict[Kind, Handler]:
    """The handlers of all kinds of jobs."""
    return {
        "teach": lambda context: _teach(library, bases, context),
        "generate": lambda context: _generate(library, bases, context),
        "front": lambda context: _front(library, bases, context),
        "grid": lambda context: _grid(library, bases, context),
        "acting": lambda context: _acting(library, bases, context),
        "load": lambda context: _load(bases, context),
    }


def _load(bases: Bases, context: JobContext) -> Json:
    """Load a base, unless another, or other LoRAs, have been chosen since the job was queued."""
    asked = context.job.request
    loras = loras_asked(asked)
    chosen = asked["segmenter"] or loras == list(bases.settings.loras)
    if asked["base"] != bases.settings.base or not chosen:
        return {"loaded": False}
    loaded = bases.get(asked["base"], loras)
    if asked["segmenter"]:
        _ = loaded.segmenter  # loads it
    return {"loaded": True}


def _teach(library: Library, bases: Bases, context: JobContext) -> Json:
    from perfusion_core.studio.teaching.run import teach

    folder = Path(context.job.request["folder"])
    context.emit({"kind": "stage", "text": "Loading the base model"})
    with _base(bases, context, {"folder": str(folder)}) as loaded:
        taught = teach(
            library,
            loaded,
            folder,
            listen=lambda event, previews: context.emit(event_json(event, previews)),
            should_stop=context.should_stop,
            say=lambda text: context.emit({"kind": "stage", "text": text}),
        )
    for warning in taught.warnings:
        context.emit({"kind": "warning", "text": warning})
    if taught.entry is None:
        raise JobStopped({"folder": str(taught.folder)})
    metadata = taught.entry.metadata
    front = _first_front(library, bases, context, metadata.name, taught.folder)
    return {
        "front": front,
        "concept": metadata.name,
        "id": taught.entry.id,
        "folder": str(taught.folder),
        "scores": metadata.scores,
        "bias": metadata.bias,
        "warnings": list(taught.warnings),
    }


def _first_front(library: Library, bases: Bases, context: JobContext, name: str, folder: Path) -> Json | None:
    """The front of the trained concept; None when it cannot be generated, for whatever reason.

    The concept is in the library already, so a failure here is a warning, and so is a person's Stop. Closing
    the program raises `JobStopped`: resumed, the job has only the front left to draw. Files of an earlier
    attempt are removed.
    """
    from perfusion_core.studio.fronts.first_front import STAGE, first_front

    context.emit({"kind": "stage", "text": STAGE})
    place = folder / "run" / "front"
    remove_folder(place)
    front: Json | None = None
    problem = ""
    try:
        with suppress(JobStopped), _base(bases, context) as loaded:
            front = first_front(library, loaded, name, place, should_stop=context.should_stop)
    except Exception as error:
        if not isinstance(error, PerfusionError):
            sys.stderr.write(traceback.format_exc())
        problem = f"The front was not drawn. {first_line(error)}"
    if context.closing():
        raise JobStopped({"folder": str(folder)})
    if context.should_stop():
        problem = "Drawing the front was stopped. Explore draws it anew."
    if problem:
        context.emit({"kind": "warning", "text": problem})
        return None
    return front


def event_json(event: TrainEvent, previews: Sequence[Path] = ()) -> Json:
    """A training event as one line of a job's events."""
    found: Json = {"kind": event.kind, "step": event.step, "total": event.total}
    for name in ("loss", "eta", "best_step"):
        value = getattr(event, name)
        if value is not None:
            found[name] = value
    found["seconds"] = event.seconds
    if event.scores is not None:
        found |= {"image": event.scores.image, "text": event.scores.text, "harmonic": event.scores.harmonic}
    if event.history is not None:  # a resumed run tells what came before
        found["losses"] = list(event.history.losses)
        found["scores"] = [asdict(scored) for scored in event.history.scores]
    if previews:
        found["previews"] = [str(path) for path in previews]
    return found


def _generate(library: Library, bases: Bases, context: JobContext) -> Json:
    from perfusion_core.studio.creating.create import make_images

    asked = context.job.request
    with _base(bases, context) as loaded:
        saved = make_images(
            library,
            loaded,
            _request(asked),
            Path(asked["out"]),
            on_step=_progress(context),
            should_stop=context.should_stop,
        )
    result: Json = {"paths": [str(path) for path in saved.paths], "warnings": list(saved.warnings)}
    return _result(result, saved.stopped)


def _front(library: Library, bases: Bases, context: JobContext) -> Json:
    from perfusion_core.studio.fronts.front import make_front

    asked = context.job.request
    with _base(bases, context) as loaded:
        made = make_front(
            library,
            loaded,
            _request(asked),
            asked["name"],
            asked["biases"],
            Path(asked["out"]),
            on_step=_progress(context),
            should_stop=context.should_stop,
        )
    result: Json = {**made.facts(), "folder": str(made.folder), "warnings": list(made.warnings)}
    return _result(result, made.stopped)


def _grid(library: Library, bases: Bases, context: JobContext) -> Json:
    from perfusion_core.studio.creating.create import make_grid

    asked = context.job.request
    first, second = asked["names"]
    with _base(bases, context) as loaded:
        made = make_grid(
            library,
            loaded,
            _request(asked),
            (first, second),
            (asked["biases"][0], asked["biases"][1]),
            Path(asked["out"]),
            on_step=_progress(context),
            should_stop=context.should_stop,
        )
    result: Json = {
        "folder": str(made.folder),
        "paths": [str(path) for path in made.paths],
        "names": list(made.names),
        "biases": [list(biases) for biases in made.biases],
        "table": str(made.table),
        "warnings": list(made.warnings),
    }
    return _result(result, made.stopped)


def _acting(library: Library, bases: Bases, context: JobContext) -> Json:
    from perfusion_core.studio.creating.attribution_run import save_overlays

    asked = context.job.request
    report = _progress(context)

    def on_step(done: int, total: int) -> None:
        if context.should_stop():
            raise JobStopped
        report(done, total)

    with _base(bases, context) as loaded:
        maps = save_overlays(library, loaded, Path(asked["source"]), context.folder, on_step=on_step)
    return {"maps": {name: str(path) for name, path in maps.items()}}


@contextmanager
def _base(bases: Bases, context: JobContext, stopped: Json | None = None) -> Generator[LoadedBase]:
    """The base that the job asks for, with its LoRAs; where its statistics are computed first, the job tells
    how far that is.

    Asked to stop meanwhile, it raises `JobStopped` with the result `stopped`. An image for a slider, which is
    given up after a while, goes on reading, so that one of the next is made.
    """
    loaded = bases.get(context.job.request["base"], loras_asked(context.job.request))

    def on_captions(done: int, total: int) -> None:
        if context.should_stop() and not is_live(context.job):
            raise JobStopped(stopped)
        context.emit({"kind": "stage", "text": f"Reading captions {done} of {total}", "part": done / total})

    with loaded.telling_captions(_seldom(on_captions)):
        yield loaded


def _result(result: Json, stopped: bool) -> Json:
    if stopped:
        raise JobStopped(result)
    return result


def _request(asked: Json) -> GenerationRequest:
    from perfusion_core.sampling.request import GenerationRequest

    fields: dict[str, Any] = asked["request"]
    return GenerationRequest(**fields)


def _progress(context: JobContext) -> Callable[[int, int], None]:
    """Progress as events, at least SHORTEST_PAUSE seconds apart."""
    return _seldom(lambda done, total: context.emit({"kind": "progress", "done": done, "total": total}))


def _seldom(report: Callable[[int, int], None]) -> Callable[[int, int], None]:
    """`report`, at least SHORTEST_PAUSE seconds apart, and at the end."""
    last = [0.0]

    def on_step(done: int, total: int) -> None:
        now = time.monotonic()
        if done >= total or now - last[0] >= SHORTEST_PAUSE:
            last[0] = now
            report(done, total)

    return on_step
