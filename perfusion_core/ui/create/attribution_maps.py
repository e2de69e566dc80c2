"""Where each concept acted in the picture that is shown: asked for with a button, drawn by the worker."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import gradio as gr

from perfusion_core.errors import PerfusionError
from perfusion_core.ui.html import note
from perfusion_core.ui.job_watch import watch

if TYPE_CHECKING:
    from perfusion_core.studio.app import Studio
    from perfusion_core.ui.create.room import CreateRoom
    from perfusion_core.ui.served import Served

QUIET: dict[str, Any] = {"show_progress": "hidden", "api_visibility": "private"}


def listen(room: CreateRoom, studio: Studio, served: Served) -> None:
    def look(shown: list[Any] | None, chosen: int) -> Iterator[list[Any]]:
        """[said, maps, job]"""
        if not shown:
            yield [note("Create a picture first."), gr.skip(), ""]
            return
        picture = Path(shown[chosen if chosen < len(shown) else 0][0])
        try:
            job = studio.submit_acting(picture)
        except PerfusionError as error:
            yield [note(str(error), "problem"), gr.skip(), ""]
            return
        for job, words in watch(studio, job):  # noqa: B020 - the same job, as it is now
            if words:
                yield [words, gr.skip(), job.id]
        said = note(job.error or "", "problem") if job.state == "failed" else ""
        files = [
            (str(served.copy(Path(path))), f"<{name}>") for name, path in job.result.get("maps", {}).items()
        ]
        yield [said, gr.Gallery(value=files, visible=bool(files), columns=max(2, min(3, len(files)))), ""]

    def choose(event: gr.SelectData) -> int:
        return int(event.index)

    room.gallery.select(choose, None, room.chosen, queue=False, **QUIET)

    def fresh(shown: list[Any] | None) -> list[Any]:
        """Other pictures: the first is meant until one is clicked, and old maps go."""
        return [0, gr.Gallery(visible=False), gr.Button(visible=bool(shown))]

    room.gallery.change(fresh, room.gallery, [room.chosen, room.acting, room.look], queue=False, **QUIET)
    room.look.click(
        look, [room.gallery, room.chosen], [room.said, room.acting, room.job], concurrency_limit=8, **QUIET
    )
