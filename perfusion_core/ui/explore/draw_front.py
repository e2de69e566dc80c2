"""Starting a front or a grid, drawing what came of it, and keeping the point that is clicked."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import gradio as gr

from perfusion_core.errors import PerfusionError
from perfusion_core.sampling.operating_points import check_lock, front_biases
from perfusion_core.sampling.request import GenerationRequest
from perfusion_core.studio.fronts.first_front import as_front
from perfusion_core.ui import open_in_create
from perfusion_core.ui.explore.board import board, picked
from perfusion_core.ui.explore.concept_choice import names, opening
from perfusion_core.ui.html import note, notes
from perfusion_core.ui.job_watch import watch

if TYPE_CHECKING:
    from perfusion_core.studio.app import Studio
    from perfusion_core.studio.jobs.store import Job
    from perfusion_core.ui.create.room import CreateRoom
    from perfusion_core.ui.explore.room import ExploreRoom
    from perfusion_core.ui.served import Served

GRID_POINTS = 5  # most points on each side of a grid: 25 pictures
QUIET: dict[str, Any] = {"show_progress": "hidden", "api_visibility": "private"}


def listen(
    room: ExploreRoom,
    create: CreateRoom,
    rooms: gr.Tabs,
    studio: Studio,
    served: Served,
    tab: gr.Tab,
    demo: gr.Blocks,
) -> None:
    def start(
        name: str, against: str, prompt: str, lock: str, points: float, seeds: float, seed: float
    ) -> Iterator[list[Any]]:
        """[said, board, go, stop, job]"""
        try:
            request = GenerationRequest(prompt or "", seed=int(seed or 0), lock=check_lock(lock))
            job = submit(studio, name or "", against or "", request, int(points), int(seeds))
        except PerfusionError as error:
            yield [note(str(error), "problem"), gr.skip(), *_working(False), ""]
            return
        for job, words in watch(studio, job):  # noqa: B020 - the same job, as it is now
            if words:
                yield [words, gr.skip(), *_working(True), job.id]
        said = notes([str(words) for words in job.result.get("warnings", [])])
        if job.state == "failed":
            said += note(job.error or "It failed.", "problem")
        elif job.state == "stopped":
            said += note("Stopped.")
        drawn = board(job, served) if job.result.get("paths") else gr.skip()
        yield [said, drawn, *_working(False), ""]

    def stop(job_id: str) -> None:
        if job_id:
            studio.stop(job_id)

    def keep(positions: Mapping[str, float], event: gr.EventData) -> list[Any]:
        """A click: the point becomes the setting of its concepts and goes to Create."""
        try:
            job = as_front(studio.job(str(event.job)))
            if job is None:
                raise PerfusionError("That front is gone. Draw it again.")
            prompt, seed, lock, biases = picked(job, int(event.pick))
            for name, bias in biases.items():
                studio.library.set_bias(name, lock, bias)
        except (PerfusionError, ValueError, IndexError) as error:
            return [note(str(error), "problem"), *open_in_create.untouched(create)]
        kept = " and ".join(f"<{name}> at {bias:.2f}" for name, bias in biases.items())
        return [
            note(f"Kept: {kept}.", "good"),
            *open_in_create.point(create, prompt, seed, lock, biases, positions),
        ]

    def refreshed(name: str | None, against: str | None, prompt: str | None) -> list[Any]:
        """The latest board, and the library as it is now: [board, name, against, prompt]"""
        found = names(studio)
        job = latest(studio)
        here = name if name in found else (found[0] if found else None)
        other = against if against in found else ""
        return [
            board(job, served) if job is not None else gr.skip(),
            gr.Dropdown(choices=found, value=here),
            gr.Dropdown(choices=[("one concept alone", ""), *found], value=other),
            prompt if prompt and here == name else opening(here, other),
        ]

    room.go.click(
        start,
        [room.name, room.against, room.prompt, room.lock, room.points, room.seeds, room.seed],
        [room.said, room.board, room.go, room.stop, room.job],
        concurrency_limit=8,
        **QUIET,
    )
    room.stop.click(stop, room.job, None, queue=False, **QUIET)
    for field in (room.name, room.against):
        field.input(
            adapted,
            [room.name, room.against],
            [room.prompt, room.seeds, room.go],
            queue=False,
            **QUIET,
        )
    room.board.click(keep, create.positions, [room.said, *open_in_create.targets(create, rooms)], **QUIET)
    fields = [room.name, room.against, room.prompt]
    for event in (demo.load, tab.select):
        event(refreshed, fields, [room.board, *fields], **QUIET)


def submit(
    studio: Studio, name: str, against: str, request: GenerationRequest, points: int, seeds: int
) -> Job:
    """Queue a front of `seeds` rows, or a grid of one seed when there is a second concept.

    Raises `PerfusionError`.
    """
    if not name:
        raise PerfusionError("There is no concept to explore yet. Teach or import one first.")
    lock = request.lock
    if not against or against == name:
        return studio.submit_front(replace(request, count=seeds), name, front_biases(points, lock))
    biases = front_biases(min(points, GRID_POINTS), lock)
    return studio.submit_grid(request, (name, against), (biases, biases))


def latest(studio: Studio) -> Job | None:
    """The last front or grid, also one that a teaching ended with."""
    fronts = [front for job in studio.jobs() if (front := as_front(job)) is not None]
    return fronts[-1] if fronts else None


def adapted(name: str | None, against: str | None) -> list[Any]:
    """The form for a front of one concept, or for a grid of two, which has one seed: [prompt, seeds, go]"""
    two = bool(against) and against != name
    return [
        opening(name, against),
        gr.Slider(visible=not two),
        gr.Button("Draw the grid" if two else "Draw the front"),
    ]


def _working(now: bool) -> list[Any]:
    return [gr.Button(interactive=not now), gr.Button(visible=now)]
