"""Starting a front or a grid, following it to its end, and keeping the point that is clicked."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import gradio as gr

from perfusion_core.concept import validate_name
from perfusion_core.errors import PerfusionError
from perfusion_core.sampling.operating_points import check_lock, front_biases
from perfusion_core.sampling.request import GenerationRequest
from perfusion_core.studio.fronts.first_front import as_front
from perfusion_core.ui import open_in_create
from perfusion_core.ui.choice_list import choice_list
from perfusion_core.ui.event_options import AT_ONCE, EACH_IN_TURN, QUIET, Updates
from perfusion_core.ui.explore.board import board, picked
from perfusion_core.ui.explore.concept_choice import ALONE, fitting, names, opening
from perfusion_core.ui.field_values import read_seed
from perfusion_core.ui.html import note, notes
from perfusion_core.ui.job_watch import watch

if TYPE_CHECKING:
    from perfusion_core.studio.app import Studio
    from perfusion_core.studio.jobs.store import Job
    from perfusion_core.ui.create.room import CreateRoom
    from perfusion_core.ui.explore.room import ExploreRoom
    from perfusion_core.ui.served import Served

GRID_POINTS = 5  # most points on each side of a grid: 25 images


def listen(
    room: ExploreRoom,
    create: CreateRoom,
    rooms: gr.Tabs,
    studio: Studio,
    served: Served,
    tab: gr.Tab,
    demo: gr.Blocks,
) -> None:
    def start(values: Mapping[Any, Any]) -> Iterator[Updates]:
        """Queue a job and follow it to its end."""
        try:
            job = submit(room, studio, values)
        except PerfusionError as error:
            yield {room.said: note(str(error), "problem"), **buttons(False), room.job: ""}
            return
        for job, words in watch(studio, job):  # noqa: B020 - the same job, as it is now
            if words:
                yield {room.said: words, **buttons(True), room.job: job.id}
        said = notes([str(words) for words in job.result.get("warnings", [])])
        if job.state == "failed":
            said += note(job.error or "It failed.", "problem")
        elif job.state == "stopped":
            said += note("Stopped.")
        finished = {room.board: board(job, served)} if job.result.get("paths") else {}
        yield {room.said: said, **finished, **buttons(False), room.job: ""}

    def stop(job_id: str) -> Any:
        try:
            if job_id:
                studio.stop(job_id)
        except PerfusionError as error:
            return note(str(error), "problem")
        return gr.skip()

    def keep(positions: Mapping[str, float], event: gr.EventData) -> Updates:
        """A click: the point becomes the setting of its concepts and goes to Create."""
        try:
            job = as_front(studio.job(str(event.job)))
            if job is None:
                raise PerfusionError("That front is gone. Draw it again.")
            prompt, seed, lock, biases = picked(job, int(event.pick))
            for name, bias in biases.items():
                studio.library.set_bias(name, lock, bias)
        except (PerfusionError, ValueError, IndexError) as error:
            return {room.said: note(str(error), "problem")}
        kept = " and ".join(f"<{name}> at {bias:.2f}" for name, bias in biases.items())
        return {
            room.said: note(f"Kept: {kept}.", "good"),
            **open_in_create.point(create, rooms, prompt, seed, lock, biases, positions),
        }

    def refreshed(name: str | None, against: str | None, prompt: str | None) -> Updates:
        """The latest board, and the library as it is now."""
        found = names(studio)
        job = latest(studio)
        here = name if name in found else (found[0] if found else None)
        other = against if against in found else ""
        return {
            room.name: choice_list(found, value=here),
            room.against: choice_list([ALONE, *found], value=other),
            room.prompt: prompt if prompt and here == name else opening(here, other),
            **({room.board: board(job, served)} if job is not None else {}),
        }

    def adapted(name: str | None, against: str | None, prompt: str | None) -> Updates:
        """The form for a front of one concept, or for a grid of two, which has one seed.

        Gradio also tells of a field that was only entered and left: a prompt that names what is chosen stays.
        """
        two = bool(against) and against != name
        return {
            room.prompt: fitting(prompt, name, against, names(studio)),
            room.seeds: gr.Slider(visible=not two),
            room.go: gr.Button("Draw the grid" if two else "Draw the front"),
        }

    def buttons(working: bool) -> Updates:
        return {room.go: gr.Button(interactive=not working), room.stop: gr.Button(visible=working)}

    asked = {room.name, room.against, room.prompt, room.lock, room.points, room.seeds, room.seed}
    room.go.click(
        start, asked, [room.said, room.board, room.go, room.stop, room.job], concurrency_limit=8, **QUIET
    )
    room.stop.click(stop, room.job, room.said, **AT_ONCE)
    gr.on(
        [room.name.input, room.against.input],
        adapted,
        [room.name, room.against, room.prompt],
        [room.prompt, room.seeds, room.go],
        trigger_mode="always_last",
        **AT_ONCE,
    )
    opened = [room.said, *open_in_create.targets(create, rooms)]
    room.board.click(keep, create.positions, opened, **EACH_IN_TURN)
    fields = [room.name, room.against, room.prompt]
    for event in (demo.load, tab.select):
        event(refreshed, fields, [room.board, *fields], **QUIET)


def submit(room: ExploreRoom, studio: Studio, values: Mapping[Any, Any]) -> Job:
    """Queue a front of as many rows as there are seeds, or a grid of one seed when there is a second concept.

    Raises `PerfusionError`.
    """
    name, against = values[room.name] or "", values[room.against] or ""
    if not name:
        raise PerfusionError("There is no concept to explore yet. Teach or import one first.")
    lock = check_lock(values[room.lock])
    request = GenerationRequest(values[room.prompt] or "", seed=read_seed(values[room.seed]), lock=lock)
    points, seeds = int(values[room.points]), int(values[room.seeds])
    if not against or against == name:
        biases = front_biases(points, lock)
        return studio.submit_front(replace(request, count=seeds), validate_name(name), biases)
    biases = front_biases(min(points, GRID_POINTS), lock)
    return studio.submit_grid(request, (validate_name(name), validate_name(against)), (biases, biases))


def latest(studio: Studio) -> Job | None:
    """The last front or grid, also one that a teaching ended with."""
    fronts = [front for job in studio.jobs() if (front := as_front(job)) is not None]
    return fronts[-1] if fronts else None
