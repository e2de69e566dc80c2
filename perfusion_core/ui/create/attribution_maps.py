"""Where each concept acted in the image that is shown: asked for with a button, computed by the worker.

It has a message line of its own and leaves `CreateRoom.job` alone, so that Stop goes on stopping the job that
makes images.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import gradio as gr

from perfusion_core.errors import PerfusionError
from perfusion_core.ui.event_options import AT_ONCE, EACH, QUIET, Updates
from perfusion_core.ui.html import note
from perfusion_core.ui.job_watch import watch

if TYPE_CHECKING:
    from perfusion_core.studio.app import Studio
    from perfusion_core.ui.create.stage import Stage
    from perfusion_core.ui.served import Served


def listen(stage: Stage, studio: Studio, served: Served) -> None:
    def look(shown: list[Any] | None, chosen: int) -> Iterator[Updates]:
        if not shown:
            yield {stage.maps_said: note("Create a picture first.")}
            return
        source = Path(shown[chosen if chosen < len(shown) else 0][0])
        try:
            job = studio.submit_acting(source)
        except PerfusionError as error:
            yield {stage.maps_said: note(str(error), "problem")}
            return
        for job, words in watch(studio, job):  # noqa: B007, B020 - the same job, as it is now
            if words:
                yield {stage.maps_said: words}
        maps = job.result.get("maps", {})
        files = [(copy, f"<{name}>") for name, path in maps.items() for copy in served.copies([Path(path)])]
        yield {
            stage.maps_said: note(job.error or "", "problem") if job.state == "failed" else "",
            stage.maps: gr.Gallery(value=files, visible=bool(files), columns=max(2, min(3, len(files)))),
        }

    def choose(event: gr.SelectData) -> int:
        return int(event.index)

    def renewed(shown: list[Any] | None) -> Updates:
        """Other images: the first is meant until one is clicked, and old maps go."""
        return {
            stage.chosen: 0,
            stage.maps: gr.Gallery(visible=False),
            stage.maps_said: "",
            stage.look: gr.Button(visible=bool(shown)),
        }

    outputs = [stage.maps_said, stage.maps]
    stage.gallery.select(choose, None, stage.chosen, **AT_ONCE, **EACH)
    stage.gallery.change(renewed, stage.gallery, [*outputs, stage.chosen, stage.look], **AT_ONCE)
    stage.look.click(look, [stage.gallery, stage.chosen], outputs, concurrency_limit=8, **QUIET)
