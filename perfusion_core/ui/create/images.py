"""From the form to images: Create, its progress, and Stop."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import gradio as gr

from perfusion_core.errors import PerfusionError
from perfusion_core.ui.create import recent_images
from perfusion_core.ui.create.concept_chips import mentions_of
from perfusion_core.ui.create.form_values import fresh_seed
from perfusion_core.ui.event_options import AT_ONCE, QUIET, Updates
from perfusion_core.ui.html import note, notes
from perfusion_core.ui.job_watch import watch

if TYPE_CHECKING:
    from perfusion_core.studio.app import Studio
    from perfusion_core.studio.jobs.store import Job
    from perfusion_core.ui.create.room import CreateRoom
    from perfusion_core.ui.served import Served


def listen(room: CreateRoom, studio: Studio, served: Served) -> None:
    stage, seed_row = room.stage, room.seed_row

    def create(values: Mapping[Any, Any]) -> Iterator[Updates]:
        """Queue a job and follow it to its end."""
        prompt = values[room.prompt] or ""
        try:
            asked = room.form.asked(prompt, values)
            if not values[seed_row.keep]:
                asked = replace(asked, seed=fresh_seed())
            job = studio.submit_generate(asked.request(in_use(prompt, values[room.positions])))
        except PerfusionError as error:
            yield {stage.said: note(str(error), "problem"), **buttons(False), room.job: ""}
            return
        seed: Updates = {room.form.seed: str(asked.seed)}  # once: the next one may be typed in meanwhile
        for job, words in watch(studio, job):  # noqa: B020 - the same job, as it is now
            if words:
                yield {stage.said: words, room.job: job.id, **seed, **buttons(True)}
                seed = {}
        yield {
            **_finished(job),
            **recent_images.recent(stage, studio, served),
            **buttons(False),
            room.job: "",
        }

    def _finished(job: Job) -> Updates:
        images = [Path(path) for path in job.result.get("paths", [])]
        said = notes([str(words) for words in job.result.get("warnings", [])])
        said += note(recent_images.not_shown(images, served), "problem")
        if job.state == "failed":
            said += note(job.error or "It failed.", "problem")
        elif job.state == "stopped":
            said += note(f"Stopped. {len(images)} finished." if images else "Stopped.")
        if not images:
            return {stage.said: said}
        return {stage.said: said, stage.example: "", stage.gallery: recent_images.gallery(images, served)}

    def stop(job_id: str) -> Any:
        try:
            if job_id:
                studio.stop(job_id)
        except PerfusionError as error:
            return note(str(error), "problem")
        return gr.skip()

    def buttons(working: bool) -> Updates:
        return {room.go: gr.Button(interactive=not working), room.stop: gr.Button(visible=working)}

    form = room.form.components().values()
    room.go.click(
        create,
        {seed_row.keep, room.positions, room.prompt, *form},
        [
            stage.said,
            stage.example,
            stage.gallery,
            stage.recent_head,
            stage.recent,
            room.form.seed,
            room.go,
            room.stop,
            room.job,
        ],
        concurrency_limit=8,
        **QUIET,
    )
    room.stop.click(stop, room.job, stage.said, **AT_ONCE)
    seed_row.dice.click(lambda: str(fresh_seed()), None, room.form.seed, **AT_ONCE)


def in_use(prompt: str, positions: Mapping[str, float]) -> dict[str, float]:
    """The slider positions that count: of concepts in the prompt that carry no number of their own."""
    return {name: positions[name] for name, number in mentions_of(prompt, list(positions)) if not number}
