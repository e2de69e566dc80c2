"""From the form to pictures: Create, Stop, the live picture under a dragged slider, and what was made "
"lately."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import gradio as gr

from perfusion_core.errors import PerfusionError
from perfusion_core.studio.creating.live import Busy, is_live, render_live
from perfusion_core.studio.creating.mentions import fixed, mentioned
from perfusion_core.ui.create.form_values import Asked, fresh_seed
from perfusion_core.ui.html import note, notes
from perfusion_core.ui.job_watch import watch

if TYPE_CHECKING:
    from perfusion_core.studio.app import Studio
    from perfusion_core.studio.jobs.store import Job
    from perfusion_core.ui.create.room import CreateRoom
    from perfusion_core.ui.served import Served

RECENT = 12
QUIET: dict[str, Any] = {"show_progress": "hidden", "api_visibility": "private"}


def listen(room: CreateRoom, studio: Studio, served: Served, demo: gr.Blocks) -> None:
    def create(keep: bool, positions: Mapping[str, float], prompt: str, *values: Any) -> Iterator[list[Any]]:
        """Start a job and look at it: said, gallery, recent and its heading, seed, buttons, the job's id."""
        asked = Asked.of(prompt, *values)
        if not keep:
            asked = Asked(**{**vars(asked), "seed": fresh_seed()})
        try:
            job = studio.submit_generate(asked.request(used(studio, prompt, positions)))
        except PerfusionError as error:
            yield [
                note(str(error), "problem"),
                gr.skip(),
                gr.skip(),
                gr.skip(),
                gr.skip(),
                *buttons(False),
                "",
            ]
            return
        for job, words in watch(studio, job):  # noqa: B020 - the same job, as it is now
            if words:
                yield [words, gr.skip(), gr.skip(), gr.skip(), asked.seed, *buttons(True), job.id]
        yield [*finished(job, served), *recent(studio, served), gr.skip(), *buttons(False), ""]

    def stop(job_id: str) -> Any:
        try:
            if job_id:
                studio.stop(job_id)
        except PerfusionError as error:
            return note(str(error), "problem")
        return gr.skip()

    def pick(picks: list[str], event: gr.SelectData) -> list[Any]:
        """A picture of those made lately comes onto the stage, and beside the one picked before it."""
        paths = recent_paths(studio)
        index = int(event.index)
        if not 0 <= index < len(paths):
            return [gr.skip()] * 4
        last = [*picks, str(paths[index])][-2:]
        files = served.copies([Path(path) for path in last])
        both = len(files) == 2 and files[0] != files[1]
        pair = gr.ImageSlider(value=(files[0], files[1])) if both else gr.skip()
        return [last, _gallery([paths[index]], served), gr.Accordion(visible=both), pair]

    room.recent.select(pick, room.picks, [room.picks, room.gallery, room.compare, room.pair], **QUIET)
    results = [
        room.said,
        room.gallery,
        room.recent_head,
        room.recent,
        room.seed,
        room.go,
        room.stop,
        room.job,
    ]
    room.go.click(
        create, [room.keep, room.positions, room.prompt, *room.form], results, concurrency_limit=8, **QUIET
    )
    room.stop.click(stop, room.job, room.said, queue=False, **QUIET)
    room.dice.click(fresh_seed, None, room.seed, queue=False, **QUIET)
    demo.load(
        lambda: [latest(studio, served), *recent(studio, served)],
        None,
        [room.gallery, room.recent_head, room.recent],
        **QUIET,
    )


def used(studio: Studio, prompt: str, positions: Mapping[str, float]) -> dict[str, float]:
    """The slider positions that count: of concepts in the prompt that carry no number of their own."""
    names = mentioned(prompt, positions)
    return {name: positions[name] for name in names if name not in fixed(prompt, names)}


def follow(
    studio: Studio,
    served: Served,
    live: bool,
    prompt: str,
    positions: Mapping[str, float],
    values: Sequence[Any],
) -> list[Any]:
    """The picture at the sliders' new positions, with the seed kept: [gallery, said]."""
    if not live or studio.base is None:
        return [gr.skip(), gr.skip()]
    try:
        asked = Asked.of(prompt, *values).request(positions, count=1)
        made = render_live(studio.worker, asked, studio.settings.base, studio.settings.cache_folder)
    except PerfusionError as error:
        return [gr.skip(), note(str(error), "problem")]
    if isinstance(made, Busy):
        return [
            gr.skip(),
            note(
                f"The model is busy (“{made.title}”), so the picture does not follow the slider. Create "
                "puts it in the queue."
            ),
        ]
    return [_gallery([made], served), ""]


def finished(job: Job, served: Served) -> list[Any]:
    """What a finished job leaves: [said, gallery]."""
    images = [Path(path) for path in job.result.get("paths", [])]
    said = notes([str(words) for words in job.result.get("warnings", [])])
    if job.state == "failed":
        said += note(job.error or "It failed.", "problem")
    elif job.state == "stopped":
        said += note(f"Stopped. {len(images)} finished." if images else "Stopped.")
    return [said, _gallery(images, served) if images else gr.skip()]


def latest(studio: Studio, served: Served) -> Any:
    """The pictures of the last job that made any."""
    for job in reversed(studio.jobs()):
        images = [Path(path) for path in job.result.get("paths", [])] if job.kind == "generate" else []
        if images and not is_live(job):
            return _gallery(images, served)
    return gr.skip()


def recent(studio: Studio, served: Served) -> list[Any]:
    """The last pictures made here, newest first, under their heading."""
    paths = recent_paths(studio)
    return [
        gr.HTML(visible=bool(paths)),
        gr.Gallery(value=served.copies(paths), visible=bool(paths), selected_index=None),
    ]


def recent_paths(studio: Studio) -> list[Path]:
    """The files of the last pictures, newest first."""
    paths = [
        Path(path)
        for job in reversed(studio.jobs())
        if job.kind == "generate" and not is_live(job)
        for path in job.result.get("paths", [])
    ]
    return [path for path in paths if path.is_file()][:RECENT]


def buttons(working: bool) -> list[Any]:
    return [gr.Button(interactive=not working), gr.Button(visible=working)]


def _gallery(images: list[Path], served: Served) -> Any:
    columns = 1 if len(images) == 1 else 2 if len(images) <= 4 else 4
    return gr.Gallery(value=served.copies(images), columns=columns)
